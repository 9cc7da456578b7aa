#!/usr/bin/env bash
# buf lint over every .proto file, with the version of buf that package-lock.json pins.
set -euo pipefail
cd "$(dirname "$0")/.."
stamp=node_modules/.faultline-lock
if ! cmp -s package-lock.json "$stamp"; then
  npm ci --no-audit --no-fund --loglevel=error
  cp package-lock.json "$stamp"
fi
case "$(uname -m)" in
aarch64) machine=linux-aarch64 ;;
*) machine=linux-x64 ;;
esac
"node_modules/@bufbuild/buf-$machine/bin/buf" lint
