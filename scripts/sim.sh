#!/usr/bin/env bash
# Runs the simulator (tests/sim): whole systems of controllers, agents and clients in one thread, with
# everything that goes wrong chosen by a seed. A failure prints its seed and what happened.
#
# usage: scripts/sim.sh [--seeds N] [--seed S] [--log]
#   --seeds N   so many seeds (default 1 with --seed, else 2000)
#   --seed S    the first one (default 1)
#   --log       with the programs' own log
set -euo pipefail
. "$(dirname "$0")/lib.sh"

seeds= seed=
while [ $# -gt 0 ]; do
  case "$1" in
  -h | --help) usage; exit 0 ;;
  --seeds) seeds=${2:?--seeds needs a number}; shift ;;
  --seed) seed=${2:?--seed needs a number}; shift ;;
  --log) export FAULTLINE_SIM_LOG=1 ;;
  *) die "unknown argument '$1'; scripts/sim.sh --help lists them" ;;
  esac
  shift
done
"$ROOT/scripts/bootstrap.sh"
build_preset dev sim_test
export FAULTLINE_SIM_SEEDS=${seeds:-${seed:+1}} FAULTLINE_SIM_SEED=${seed:-1}
export FAULTLINE_SIM_SEEDS=${FAULTLINE_SIM_SEEDS:-2000}
exec "$ROOT/build/dev/tests/sim/sim_test" --gtest_brief=1 --gtest_filter='*KeepsItsPromises*'
