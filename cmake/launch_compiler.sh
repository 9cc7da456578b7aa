#!/usr/bin/env bash
# CMake's launcher of compilers: ccache, with the checkout's paths kept out of its keys, so that another clone hits
# the same cache. Precompiled headers hold such paths: they are always made anew, and beside each stands a checksum
# of the headers in it, by which ccache knows it ("pch_external_checksum" in ccache's manual).
# usage: launch_compiler.sh CHECKOUT COMPILER ARGUMENT...
set -euo pipefail
export CCACHE_BASEDIR=$1 CCACHE_NOHASHDIR=1 CCACHE_PCH_EXTSUM=1 CCACHE_SLOPPINESS=pch_defines,time_macros
shift
case " $* " in
*" -emit-pch "*) ;;
*)
  # ccache makes paths relative, but not that of "-Xclang -include -Xclang PATH".
  exec ccache "${@/#"$PWD"\//}"
  ;;
esac
"$@"
while [ $# -gt 1 ]; do
  case $1 in
  -o) made=$2 ;;
  -MF) dependencies=$2 ;;
  esac
  shift
done
sed 's/^[^:]*://; s/\\$//' "$dependencies" | xargs cat | sha256sum >"$made.sum"
