#!/usr/bin/env bash
# What Faultline could leave behind on a host, as lines of text: network namespaces, devices, queueing
# disciplines, TC filters, BPF links, cgroups, mounts, processes.
# usage: tools/host_state.sh                 prints the state
#        tools/host_state.sh --compare FILE  shows the difference to FILE; exit code 1 when there is one.
#                                            What tests made that were killed before FILE was written
#                                            (fl-test-...) may be gone: later tests remove it
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin

state() {
  local device
  ip netns list | awk '{print "netns", $1}' | sort
  ip -o link show | awk -F': ' '{print "link", $2}' | sort
  tc qdisc show | sed 's/ refcnt.*//; s/^/tc /' | sort
  for device in $(ip -o link show | awk -F': ' '{sub(/@.*/, "", $2); print $2}'); do
    tc filter show dev "$device" ingress 2>/dev/null | sed "s/^/tc filter $device ingress /"
    tc filter show dev "$device" egress 2>/dev/null | sed "s/^/tc filter $device egress /"
  done
  bpftool link list 2>/dev/null | sed -n 's/ *prog [0-9]*//; s/^[0-9]*: /bpf link /p' | sort
  # Not the manager's own: its services and sessions come and go.
  find /sys/fs/cgroup -type d ! -path '*.service*' ! -path '*.scope*' ! -path '*/user.slice/*' \
    -printf 'cgroup %p\n' 2>/dev/null | sort
  awk '{print "mount", $5}' /proc/self/mountinfo | sort
  ps -eo comm= | sed -n 's/^faultline.*/process &/p' | sort
}

case "${1:-}" in
"") state ;;
--compare)
  # The kernel takes devices and links of ended processes away a moment later.
  for _ in 1 2 3 4 5 6 7 8 9 10; do
    now=$(state)
    ! difference=$(diff -U0 <(awk 'NR == FNR { now[$0]; next } $0 in now || !/fl-test-/' <(echo "$now") "$2") \
      <(echo "$now")) || exit 0
    sleep 0.5
  done
  printf '%s\n' "$difference"
  exit 1
  ;;
*) echo "usage: $0 [--compare FILE]" >&2; exit 2 ;;
esac
