# Shared by the scripts: one way to print progress with elapsed time, one way to fail.
# Sourced, not run.
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
START_SECONDS=${START_SECONDS:-$(date +%s)}
export START_SECONDS

# step TEXT: a progress line with minutes and seconds since the first script began.
step() {
  local t=$(($(date +%s) - START_SECONDS))
  printf '[%02d:%02d] %s\n' $((t / 60)) $((t % 60)) "$*" >&2
}

# die SENTENCE: one clear sentence, exit code 2.
die() {
  printf 'error: %s\n' "$*" >&2
  exit 2
}

# run_logged LOG COMMAND...: the command's output goes to LOG; its end is shown when it fails.
run_logged() {
  local log=$1
  shift
  mkdir -p "$(dirname "$log")"
  if ! "$@" >"$log" 2>&1; then
    tail -n 60 "$log" >&2
    die "'$*' failed; its whole output is in $log"
  fi
}

# usage: prints the calling script's own opening comment.
usage() { sed -n '2,/^[^#]/{/^#/s/^# \{0,1\}//p}' "$0"; }

need_root() { [ "$(id -u)" = 0 ] || die "this must run as root (it loads BPF programs and makes network namespaces)"; }
need_btf() { [ -r /sys/kernel/btf/vmlinux ] || die "the kernel has no BTF (/sys/kernel/btf/vmlinux is missing); Faultline needs CONFIG_DEBUG_INFO_BTF"; }

# The first `ip netns add` on a machine mounts /run/netns and leaves it so.
# note_netns_mount: remembers whether it is mounted; restore_netns_mount: unmounts it if it was not,
# and no namespace is there.
note_netns_mount() { NETNS_WAS_MOUNTED=$(mountpoint -q /run/netns && echo yes || true); }
restore_netns_mount() {
  [ -z "$NETNS_WAS_MOUNTED" ] && [ -z "$(ls -A /run/netns 2>/dev/null)" ] || return 0
  ! mountpoint -q /run/netns || umount /run/netns
}

# configure_preset PRESET: CMake forgets what a preset says when the compiler of a folder that is there changes.
configure_preset() {
  local fresh=()
  if [ -e "$ROOT/build/$1/CMakeCache.txt" ] &&
    ! grep -q '^CMAKE_CXX_COMPILER:[A-Z]*=.*clang++-19$' "$ROOT/build/$1/CMakeCache.txt"; then
    fresh=(--fresh)
  fi
  cmake -S "$ROOT" --preset "$1" "${fresh[@]}"
}

# build_preset PRESET [TARGET...]: configures and builds build/PRESET (everything when no target is
# named); the logs are in build/logs.
build_preset() {
  local preset=$1
  shift
  step "building preset $preset (log: build/logs/$preset.log)"
  (cd "$ROOT" && run_logged "build/logs/$preset-configure.log" configure_preset "$preset") || exit 2
  (cd "$ROOT" && run_logged "build/logs/$preset.log" cmake --build "build/$preset" ${*:+--target "$@"}) || exit 2
}
