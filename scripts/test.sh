#!/usr/bin/env bash
# Builds and runs the tests. The last line is "N passed, N failed, N skipped"; exit code 0 when
# nothing failed, 1 when something did, 2 when the tests could not be run at all.
#
# usage: scripts/test.sh [PART...]
#        scripts/test.sh --vm [KERNEL...]
#   all      everything below, and that the host is afterwards as it was before (the default)
#   quick    unit tidy
#   unit     tests of single modules: no root, no other process
#   sim      whole systems simulated under faults, 2,000 seeds (scripts/sim.sh runs any number)
#   tidy     rules of the source tree
#   netns    real packets in network namespaces (root)
#   cluster  several controllers (root)
#   e2e      the real programs together (root)
#   swift    ChaosKit against the real programs, in a Debian 13 system of its own (root, 6 GB)
#   checks   buf lint, clang-format, shell syntax, tests of Python tools, what cmake --install installs
#   asan     unit tests under AddressSanitizer and UndefinedBehaviorSanitizer
#   tsan     unit tests of what links no gRPC under ThreadSanitizer
#   vm       a few tests under the newest long-term kernel of Debian, in a virtual machine, and that machines
#            which go wrong are counted; six minutes at the most
# --vm runs the whole list of tests/vm under every kernel of tests/vm/kernels.txt, or those named, as many at once
# as there are processors and one more, and memory.
# Results of each program stay in build/test-results.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

parts=()
arguments=("${@:-all}")
vm_kernels=()
if [ "${1:-}" = --vm ]; then
  parts=(vm_matrix)
  arguments=()
  vm_kernels=("${@:2}")
fi
for argument in "${arguments[@]}"; do
  case "$argument" in
  -h | --help) usage; exit 0 ;;
  all) parts+=(unit sim tidy checks netns cluster e2e swift vm asan tsan host) ;;
  quick) parts+=(unit tidy) ;;
  unit | sim | tidy | netns | cluster | e2e | swift | checks | asan | tsan | vm) parts+=("$argument") ;;
  *) die "unknown part '$argument'; scripts/test.sh --help lists them" ;;
  esac
done
wanted() {
  local part
  for part in "$@"; do [[ " ${parts[*]} " != *" $part "* ]] || return 0; done
  return 1
}

if wanted netns cluster e2e swift; then
  need_root
  need_btf
fi
"$ROOT/scripts/bootstrap.sh"
cd "$ROOT"
export FAULTLINE_TEST_RESULTS="$ROOT/build/test-results"
rm -rf "$FAULTLINE_TEST_RESULTS"
mkdir -p "$FAULTLINE_TEST_RESULTS"
summary() { python3 tools/test_summary.py "$@"; }

# run_suite SUITE LIMIT DIR [PREFIX...]: every test program in DIR, LIMIT seconds for each.
run_suite() {
  local suite=$1 limit=$2 dir=$3 programs=()
  shift 3
  [ ! -d "$dir" ] || mapfile -t programs < <(find "$dir" -maxdepth 1 -type f -executable | sort)
  summary run --suite "$suite" --limit "$limit" ${*:+--prefix "$*"} "${programs[@]}"
}
# check NAME COMMAND...: one counted test; a failure is told at the end like any other.
check() { summary check --suite checks --name "$1" -- "${@:2}" || true; }

# What is built for a sanitizer's run.
declare -A sanitized=([asan]=unit_tests [tsan]=unit_tests_without_grpc)
# A sanitizer's build is itself a counted test: when it fails, the others' results are still told.
# build_counted PRESET
build_counted() {
  step "building preset $1 (${sanitized[$1]})"
  summary check --suite "$1" --name "builds" --limit 3600 -- \
    bash -c ". scripts/lib.sh && configure_preset $1 && cmake --build build/$1 --target ${sanitized[$1]}"
}

# Making Swift's system is mostly downloading, so it goes beside the build. Whatever becomes of it, --make below does
# what is left, and is counted.
swift_system=
if wanted swift && [ -z "$(scripts/test-swift.sh --why-not)" ]; then
  setpriv --pdeathsig KILL scripts/test-swift.sh --system >/dev/null 2>&1 &
  swift_system=$!
fi

note_netns_mount
if wanted host; then tools/host_state.sh >"$FAULTLINE_TEST_RESULTS/host-before.txt"; fi
# Programs of tests that are no more would still be found and run.
forget_old_outputs() { ninja -C "build/$1" -t cleandead >/dev/null; }
if wanted unit sim tidy netns cluster e2e swift checks vm vm_matrix; then
  build_preset dev
  forget_old_outputs dev
fi
[ -z "$swift_system" ] || wait "$swift_system" || true

# Tests mostly wait: what the sanitizers need is built meanwhile, in time that nobody else wants, and in a session of its
# own, since the kernel's fairness is between sessions. Whatever becomes of it, build_counted does what is left.
sanitizers=
# Two builds in one folder would disturb each other.
end_sanitizers() {
  [ -n "$sanitizers" ] || return 0
  kill -- -"$sanitizers" 2>/dev/null || true
  wait "$sanitizers" || true
  while pgrep --session "$sanitizers" >/dev/null; do sleep 0.1; done
  sanitizers=
}
trap end_sanitizers EXIT
builds=()
for preset in asan tsan; do if wanted $preset; then builds+=("$preset" "${sanitized[$preset]}"); fi; done
if [ ${#builds[@]} -gt 0 ] && wanted netns cluster e2e; then
  setpriv --pdeathsig KILL setsid bash -c '
    [ ! -e /proc/self/autogroup ] || echo 19 >/proc/self/autogroup
    . scripts/lib.sh
    while [ $# -gt 0 ]; do
      configure_preset "$1" && setpriv --pdeathsig KILL chrt --idle 0 ninja -j1 -C "build/$1" "$2"
      shift 2
    done' bash "${builds[@]}" >build/logs/sanitizers.log 2>&1 &
  sanitizers=$!
fi

if wanted tidy; then run_suite tidy 60 build/dev/tests/tidy; fi
if wanted checks; then
  check "scripts are valid shell" tools/check_shell.sh
  check "sources are formatted as .clang-format says" tools/check_format.sh
  check "buf lint" tools/check_proto.sh
  check "the matrix of kernels counts what goes wrong, and its table tells it" \
    python3 -m unittest discover -s tests/vm -p '*_test.py'
  check "docs/kernels.md has the rows of tests/vm/table.py, all of them run" python3 tests/vm/vm.py table --check
  check "cmake --install installs what deploy/installed.txt lists" tools/check_install.sh build/dev
fi
if wanted unit; then run_suite unit 180 build/dev/tests/unit; fi
if wanted sim; then run_suite sim 600 build/dev/tests/sim; fi
if wanted netns; then run_suite netns 600 build/dev/tests/netns; fi
if wanted cluster; then run_suite cluster 600 build/dev/tests/cluster; fi
if wanted e2e; then run_suite e2e 900 build/dev/tests/e2e; fi
if wanted swift; then
  why=$(scripts/test-swift.sh --why-not)
  if [ -n "$why" ]; then
    summary skip --suite swift --name chaoskit --reason "$why"
  elif summary check --suite swift --name "ChaosKit builds" --limit 3600 -- scripts/test-swift.sh --make; then
    summary check --suite swift --name chaoskit --limit 900 --report "$FAULTLINE_TEST_RESULTS/swift.xml" -- \
      scripts/test-swift.sh --report "$FAULTLINE_TEST_RESULTS/swift.xml" || true
    summary check --suite swift --name "views fit ChaosKit (type-check against a stand-in, not a run)" \
      --limit 900 -- scripts/test-swift.sh --check-views || true
  fi
fi
# Its failures are counted by itself; that it could not even count them is one more. Neither it nor its machines
# outlive this script.
vm_test() {
  setpriv --pdeathsig TERM python3 tests/vm/vm.py test "$@" || check "tests/vm/vm.py comes to its end" false
}
if wanted vm; then
  vm_test --short --prove
fi
if wanted vm_matrix; then
  vm_test "${vm_kernels[@]}"
  check "docs/kernels.md says what the kernels showed" python3 tests/vm/vm.py table
fi
end_sanitizers
if wanted asan; then
  export UBSAN_OPTIONS=print_stacktrace=1
  if build_counted asan; then
    forget_old_outputs asan
    run_suite asan 600 build/asan/tests/unit
  fi
fi
if wanted tsan; then
  export TSAN_OPTIONS="suppressions=$ROOT/tests/tsan.supp history_size=7"
  # ThreadSanitizer cannot live with as many random address bits as newer kernels use.
  if build_counted tsan; then
    forget_old_outputs tsan
    run_suite tsan 900 build/tsan/tests/unit setarch "$(uname -m)" --addr-no-randomize
  fi
fi
restore_netns_mount
if wanted host; then
  check "the host is as it was" \
    tools/host_state.sh --compare "$FAULTLINE_TEST_RESULTS/host-before.txt"
fi
summary report
