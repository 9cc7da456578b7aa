#!/usr/bin/env bash
# The main job, for real: three controllers, an agent, a real redis under load; a delay of 100 ms, the
# death of the leader, the stop, the death of the agent. Ends by itself with a clean machine.
#
# usage: scripts/demo.sh [--json FILE] [--keep]
#   --json FILE  write the figures to FILE as well
#   --keep       leave everything running until Ctrl-C, and print how to connect
set -euo pipefail
. "$(dirname "$0")/lib.sh"

# Told now rather than when all has been built and run.
check_writable() {
  [ ! -d "$1" ] || die "'$1' (--json) is a directory; a file's name is needed"
  if [ -e "$1" ]; then [ -w "$1" ]; else [ -w "$(dirname -- "$1")" ]; fi ||
    die "the file '$1' (--json) cannot be written"
}

options=()
while [ $# -gt 0 ]; do
  case "$1" in
  -h | --help)
    usage
    exit 0
    ;;
  --keep) options+=(--keep) ;;
  --json)
    [ -n "${2:-}" ] || die "--json needs the name of a file"
    check_writable "$2"
    options+=("--json=$2")
    shift
    ;;
  --json=?*)
    check_writable "${1#--json=}"
    options+=("$1")
    ;;
  *) die "unknown argument '$1'; allowed are --json FILE, --keep and --help" ;;
  esac
  shift
done
need_root
need_btf
"$ROOT/scripts/bootstrap.sh"
build_preset release faultline faultline-controller faultline-agent
# In this script's place, so that it gets its signals: it ends in order on each of them.
exec python3 "$ROOT/tools/demo.py" --bin "$ROOT/build/release/bin" "${options[@]}"
