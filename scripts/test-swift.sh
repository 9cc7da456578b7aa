#!/usr/bin/env bash
# Builds ChaosKit (clients/macos) and the C++ client library below it in a Debian 13 system of its
# own, and runs its tests against real controllers, agents and a redis, which run on this host. The
# system is made at first (3 GB, some minutes) and kept in ~/.cache/faultline (or
# $FAULTLINE_SWIFT_CHROOT).
#
# usage: scripts/test-swift.sh [--report FILE] [OPTION...]   (FILE: JUnit's XML; OPTION: of Swift
#                                     Testing, such as --filter NAME)
#        scripts/test-swift.sh --check-views     type-checks the SwiftUI views against a stand-in
#        scripts/test-swift.sh --system          makes the system, and builds nothing
#        scripts/test-swift.sh --make            makes the system and builds, and runs nothing
#        scripts/test-swift.sh --run PROGRAM...  a program of the package, built with optimisation
#        scripts/test-swift.sh --why-not         why none of this is possible here; nothing when it is
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$ROOT/scripts/swift_chroot.sh"

package=(--package-path /src/clients/macos --disable-sandbox)
library=FAULTLINE_CLIENT_LIB=/build/client/lib
logs=$ROOT/build/logs

in_chroot_logged() {
  local log=$logs/$1
  shift
  mkdir -p "$logs"
  in_swift_chroot "$@" >"$log" 2>&1 || { tail -n 60 "$log" >&2; die "'$*' failed; its whole output is in $log"; }
}

# The system and what is built in it serve one run at a time, of whichever checkout.
take_chroot() {
  local checkout=$SWIFT_CHROOT/build/.checkout
  mkdir -p "$(dirname "$SWIFT_CHROOT")"
  exec {lock}>"$SWIFT_CHROOT.lock"
  flock --nonblock "$lock" || { step "waiting for another run in $SWIFT_CHROOT"; flock "$lock"; }
  [ -d "$SWIFT_CHROOT/build" ] || return 0
  # Ninja goes by the files' times, which say nothing about another checkout's.
  [ "$(cat "$checkout" 2>/dev/null)" = "$ROOT" ] || rm -rf "$SWIFT_CHROOT/build/client"
  echo "$ROOT" >"$checkout"
}

make_system() {
  local why
  take_chroot
  why=$(swift_why_not)
  [ -z "$why" ] || die "Swift cannot be run here: $why"
  if ! swift_chroot_ready; then
    step "making a Debian 13 system with Swift in $SWIFT_CHROOT (log: build/logs/swift-chroot.log)"
    mkdir -p "$logs"
    swift_make_chroot >"$logs/swift-chroot.log" 2>&1 ||
      { tail -n 20 "$logs/swift-chroot.log" >&2; die "making it failed; see build/logs/swift-chroot.log"; }
  fi
}

make_ready() {
  make_system
  step "building the C++ client library in it (log: build/logs/swift-client.log)"
  # CMake forgets its options when the compiler of a folder that is there changes.
  in_chroot_logged swift-client.log sh -ec '
    grep -qs "^CMAKE_CXX_COMPILER:.*clang++-19$" /build/client/CMakeCache.txt || rm -rf /build/client
    cmake -S /src -B /build/client -G Ninja -DFAULTLINE_CLIENT_ONLY=ON -DCMAKE_BUILD_TYPE=Release \
      -DCMAKE_C_COMPILER=clang-19 -DCMAKE_CXX_COMPILER=clang++-19
    cmake --build /build/client --target faultline_client'
}

build_kit() {
  step "building ChaosKit (log: build/logs/swift-build.log)"
  in_chroot_logged swift-build.log "$library" swift build "${package[@]}" \
    --scratch-path /build/swift --build-tests
}

run_tests() {
  local report=$1
  shift
  build_kit
  build_preset dev swift_system
  note_netns_mount
  # It ends when this script does, however that is: its standard input closes.
  coproc SYSTEM { exec "$ROOT/build/dev/tests/swift/swift_system"; }
  local system=${SYSTEM_PID:-} port=
  read -r port <&"${SYSTEM[0]:-0}" || die "build/dev/tests/swift/swift_system does not start"
  step "testing ChaosKit"
  rm -f "$SWIFT_CHROOT/build/report.xml"
  local result=0
  # What `swift test` would start, which writes no report in this version.
  in_swift_chroot FAULTLINE_TEST_SYSTEM="$port" /build/swift/debug/FaultlinePackageTests.xctest \
    --testing-library swift-testing --xunit-output /build/report.xml "$@" || result=$?
  [ -z "$report" ] || cp "$SWIFT_CHROOT/build/report.xml" "$report"
  { kill "$system" && wait "$system"; } 2>/dev/null || true
  restore_netns_mount
  return $result
}

case "${1:-}" in
-h | --help) usage ;;
--why-not) swift_why_not ;;
--system) make_system ;;
--make)
  make_ready
  build_kit
  ;;
--check-views)
  make_ready
  in_swift_chroot "$library" swift build "${package[@]}" --scratch-path /build/swift \
    --target FaultlineViews
  ;;
--run)
  shift
  make_ready >&2
  in_chroot_logged swift-release.log "$library" swift build "${package[@]}" -c release \
    --scratch-path /build/swift-release --product "$1"
  name=$1
  shift
  in_swift_chroot "/build/swift-release/release/$name" "$@"
  ;;
*)
  report=
  if [ "${1:-}" = --report ]; then
    report=$2
    shift 2
  fi
  make_ready
  run_tests "$report" "$@"
  ;;
esac
