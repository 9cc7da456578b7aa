#!/usr/bin/env bash
# Builds with optimisation and runs the benchmarks: each prints its figures as JSON lines on stdout,
# one object a line; progress goes to stderr. Fails when any of them does.
#
# usage: scripts/bench.sh [NAME...]   (all, one after another, when none is named)
#        scripts/bench.sh --vm[=KERNEL] NAME...   (in a virtual machine, under a kernel of
#                                    tests/vm/kernels.txt: software emulation, only ratios count)
set -euo pipefail
. "$(dirname "$0")/lib.sh"

case "${1:-}" in
-h | --help)
  usage
  exit 0
  ;;
esac
vm_kernel=
case "${1:-}" in
--vm) vm_kernel=$(python3 "$ROOT/tests/vm/vm.py" kernels | head -n 1) ;;
--vm=*) vm_kernel=${1#--vm=} ;;
esac
if [ -n "$vm_kernel" ]; then
  shift
  [ $# -gt 0 ] || die "--vm needs the name of a benchmark"
  "$ROOT/scripts/bootstrap.sh"
  build_preset release bench/all src/bin/all
  exec python3 "$ROOT/tests/vm/vm.py" bench "$vm_kernel" "$@"
fi
need_root
need_btf
"$ROOT/scripts/bootstrap.sh"
build_preset release bench/all src/bin/all

dir=$ROOT/build/release/bench
[ -d "$dir" ] || die "there are no benchmarks in build/release/bench"
names=("$@")
if [ ${#names[@]} -eq 0 ]; then
  mapfile -t names < <(find "$dir" -maxdepth 1 -type f -executable -printf '%f\n' | sort)
fi
[ ${#names[@]} -gt 0 ] || die "there are no benchmarks in build/release/bench"
for name in "${names[@]}"; do
  [ -x "$dir/$name" ] || die "there is no benchmark '$name'; there are: $(ls -m "$dir")"
done

note_netns_mount
trap restore_netns_mount EXIT
failed=()
for name in "${names[@]}"; do
  step "bench $name"
  "$dir/$name" || failed+=("$name")
done
[ ${#failed[@]} -eq 0 ] || { step "failed: ${failed[*]}"; exit 1; }
step "all benchmarks ran: ${names[*]}"
