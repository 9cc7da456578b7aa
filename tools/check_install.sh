#!/usr/bin/env bash
# What `cmake --install` puts where, compared with deploy/installed.txt; the units must be valid.
# usage: tools/check_install.sh BUILD_DIR
set -euo pipefail
build=$(cd "$1" && pwd)
cd "$(dirname "$0")/.."
prefix=$(mktemp -d)
trap 'rm -rf "$prefix"' EXIT
cmake --install "$build" --prefix "$prefix" >/dev/null
diff -u deploy/installed.txt <(cd "$prefix" && find . -type f -printf '%m %P\n' | LC_ALL=C sort -k 2)
if command -v systemd-analyze >/dev/null; then
  systemd-analyze verify --man=no "$prefix"/lib/systemd/system/*.service
fi
