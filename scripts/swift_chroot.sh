# Shared by scripts/test-swift.sh and scripts/bench.sh: a Debian 13 system with Swift in a folder
# outside the repository, made once and kept. Sourced after lib.sh, not run.
#
# Nothing is mounted in the host's sight: what is mounted for a command stands in a mount namespace
# that ends with it, and the command and all it started end with this script, however it ends.
SWIFT_CHROOT=${FAULTLINE_SWIFT_CHROOT:-${XDG_CACHE_HOME:-$HOME/.cache}/faultline/swift-debian13}
SWIFT_CHROOT_GB=6 # with the builds in it
SWIFT_CHROOT_PACKAGES=(
  swiftlang g++ clang-19 cmake ninja-build ccache pkg-config ca-certificates
  libgrpc++-dev protobuf-compiler protobuf-compiler-grpc libprotobuf-dev libabsl-dev libssl-dev
  libfmt-dev libspdlog-dev libyaml-cpp-dev libboost-dev zlib1g-dev
)

# The list of packages is the system's version.
swift_chroot_ready() { [ "$(cat "$SWIFT_CHROOT/.faultline" 2>/dev/null)" = "${SWIFT_CHROOT_PACKAGES[*]}" ]; }

# Why Swift cannot be run here; empty when it can.
swift_why_not() {
  [ "$(id -u)" = 0 ] || { echo "it needs root (for a chroot)"; return; }
  swift_chroot_ready && return
  command -v debootstrap >/dev/null || { echo "debootstrap is not installed"; return; }
  local folder=$SWIFT_CHROOT free
  while [ ! -d "$folder" ]; do folder=$(dirname "$folder"); done
  free=$(df --output=avail --block-size=1G "$folder" | tail -n 1 | tr -d ' ')
  [ "$free" -ge $SWIFT_CHROOT_GB ] ||
    echo "$folder has $free GB free, and a system with Swift takes $SWIFT_CHROOT_GB GB"
}

# in_swift_chroot [NAME=VALUE...] COMMAND...: runs it inside, with the host's network, the checkout
# at /src (read only) and whatever is built at /build.
in_swift_chroot() {
  mkdir -p "$SWIFT_CHROOT/src" "$SWIFT_CHROOT/build"
  setpriv --pdeathsig KILL unshare --mount --propagation private --pid --fork --kill-child -- sh -ec '
    root=$0
    mount -t proc proc "$root/proc"
    mount --rbind /dev "$root/dev"
    mount --bind -o ro "$1" "$root/src"
    shift
    exec chroot "$root" "$@"' \
    "$SWIFT_CHROOT" "$ROOT" env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 "$@"
}

# From the mirror that the machine already uses: it serves Debian 13 too.
swift_debootstrap() {
  local mirror codename
  codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
  mirror=$(apt-get indextargets --format '$(REPO_URI)' "Codename: $codename" 'Identifier: Packages' | head -n 1)
  [ -n "$mirror" ] || { echo "no APT source for Debian is configured"; return 1; }
  rm -rf "$SWIFT_CHROOT.partial"
  mkdir -p "$(dirname "$SWIFT_CHROOT")"
  setpriv --pdeathsig KILL unshare --mount --propagation private --pid --fork --kill-child -- \
    debootstrap --variant=minbase trixie "$SWIFT_CHROOT.partial" "$mirror" || return 1
  printf '#!/bin/sh\nexit 101\n' >"$SWIFT_CHROOT.partial/usr/sbin/policy-rc.d"
  chmod +x "$SWIFT_CHROOT.partial/usr/sbin/policy-rc.d"
  mv "$SWIFT_CHROOT.partial" "$SWIFT_CHROOT"
}

# Makes the system, or brings it to the present list of packages.
swift_make_chroot() {
  [ -d "$SWIFT_CHROOT" ] || swift_debootstrap || return 1
  cp /etc/resolv.conf "$SWIFT_CHROOT/etc/resolv.conf"
  in_swift_chroot DEBIAN_FRONTEND=noninteractive sh -ec '
    dpkg --configure -a && apt-get update && apt-get install -y --no-install-recommends "$@" && apt-get clean' \
    sh "${SWIFT_CHROOT_PACKAGES[@]}" || return 1
  echo "${SWIFT_CHROOT_PACKAGES[*]}" >"$SWIFT_CHROOT/.faultline"
}
