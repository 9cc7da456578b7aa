#!/usr/bin/env bash
# Every tracked C and C++ source is as clang-format would write it; --fix writes it so.
set -euo pipefail
cd "$(dirname "$0")/.."
mode=(--dry-run -Werror)
[ "${1:-}" != --fix ] || mode=(-i)
git -c safe.directory='*' ls-files -z -- '*.cc' '*.h' '*.c' |
  xargs -0 -r -P 2 -n 40 clang-format-19 --style=file "${mode[@]}"
