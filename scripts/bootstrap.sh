#!/usr/bin/env bash
# Installs every package that building, testing and showing Faultline needs.
# Debian 12 (with bookworm-backports) and Debian 13. May be run any number of times: when all
# packages are there it does nothing and needs no network.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

. /etc/os-release
case "${ID:-}:${VERSION_ID:-}" in
debian:12 | debian:13) ;;
*) die "unsupported system '${PRETTY_NAME:-unknown}': Debian 12 or Debian 13 is needed" ;;
esac

# What each package is for stands in docs/dependencies.md.
packages=(
  build-essential cmake ninja-build pkg-config ccache git ca-certificates curl python3
  clang-19 clang-format-19 libclang-rt-19-dev lld-19 llvm-19 bpftool linux-libc-dev
  libgrpc++-dev protobuf-compiler protobuf-compiler-grpc libprotobuf-dev libabsl-dev
  librocksdb-dev libzstd-dev libyaml-cpp-dev libcli11-dev libspdlog-dev libfmt-dev nlohmann-json3-dev
  libboost-dev libjemalloc-dev libssl-dev libelf-dev zlib1g-dev prometheus-cpp-dev libgtest-dev libgmock-dev libbenchmark-dev
  iproute2 nftables iputils-ping procps openssl zsh redis-server redis-tools iperf3 ethtool etcd-server
  prometheus bind9-dnsutils dnsmasq-base
  busybox-static kmod xz-utils
  debootstrap
)
backported=(libbpf-dev libraft-dev qemu-system-x86)
# Node and npm only run `buf lint`; a Node installed from elsewhere serves as well.
command -v npm >/dev/null || packages+=(nodejs npm)

installed() { dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null | grep -qx installed; }
at_least() { dpkg --compare-versions "$(dpkg-query -W -f='${Version}' "$1" 2>/dev/null || echo 0)" ge "$2"; }

missing=()
for p in "${packages[@]}"; do installed "$p" || missing+=("$p"); done
need_backports=()
at_least libbpf-dev 1:1.3 || need_backports+=(libbpf-dev)
at_least libraft-dev 0.22 || need_backports+=(libraft-dev)
# Before, its emulation now and then runs an instruction that the guest has just replaced: the guest
# panics ("Oops: int3").
at_least qemu-system-x86 1:8.1 || need_backports+=(qemu-system-x86)

if [ ${#missing[@]} -gt 0 ] || [ ${#need_backports[@]} -gt 0 ]; then
  [ "$(id -u)" = 0 ] || die "packages are missing and installing them needs root: ${missing[*]} ${need_backports[*]}"
  step "installing packages: ${missing[*]} ${need_backports[*]}"
  export DEBIAN_FRONTEND=noninteractive
  if [ "$VERSION_ID" = 12 ] && ! grep -rqs "$VERSION_CODENAME-backports" /etc/apt/sources.list /etc/apt/sources.list.d; then
    # The mirror that the machine already uses for its release serves its backports too.
    apt-get update >/dev/null 2>&1 || true
    mirror=$(apt-get indextargets --format '$(REPO_URI)' "Codename: $VERSION_CODENAME" 'Identifier: Packages' | head -n 1)
    [ -n "$mirror" ] || die "no APT source for Debian $VERSION_ID ($VERSION_CODENAME) is configured, so backports cannot be found"
    echo "deb $mirror $VERSION_CODENAME-backports main" >"/etc/apt/sources.list.d/$VERSION_CODENAME-backports.list"
  fi
  target=()
  [ "$VERSION_ID" != 12 ] || target=(-t bookworm-backports)
  log=$(mktemp)
  apt-get update >"$log" 2>&1 || { tail -n 20 "$log" >&2; die "'apt-get update' failed: no network, or no Debian mirror reached"; }
  # Services must not start by themselves: the demo and the tests run their own redis.
  policy=/usr/sbin/policy-rc.d
  made_policy=
  if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod +x $policy
    made_policy=1
    trap '[ -z "$made_policy" ] || rm -f $policy' EXIT
  fi
  if [ ${#missing[@]} -gt 0 ]; then
    apt-get install -y --no-install-recommends "${missing[@]}" >"$log" 2>&1 ||
      { tail -n 20 "$log" >&2; die "installing packages failed (see above)"; }
  fi
  if [ ${#need_backports[@]} -gt 0 ]; then
    apt-get install -y --no-install-recommends "${target[@]}" "${need_backports[@]}" >"$log" 2>&1 ||
      { tail -n 20 "$log" >&2; die "installing ${need_backports[*]} failed (see above)"; }
  fi
  rm -f "$log"
fi
step "packages are there"
