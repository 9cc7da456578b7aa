#!/usr/bin/env bash
# Every tracked shell script parses, and stops at the first command that fails.
set -euo pipefail
cd "$(dirname "$0")/.."
bad=0
while read -r file; do
  head -n 1 "$file" | grep -q '^#!.*sh$' || continue
  bash -n "$file" || bad=1
  grep -qE '^set -euo pipefail$|^exec ' "$file" || { echo "$file: lacks 'set -euo pipefail'"; bad=1; }
  [ -x "$file" ] || { echo "$file: is not executable"; bad=1; }
done < <(git -c safe.directory='*' ls-files -- '*.sh' .ci/run)
exit $bad
