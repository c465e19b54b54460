#!/usr/bin/env bash
# Compiles each source of the daemon and the CLI by itself and without
# precompiled headers, which shows whether it includes what it uses.  Then sets
# up, builds, and runs the tests that take too long for every run: live
# migrations of guests that change meanwhile, with a hundred seeds; 2,500
# sequences of balloon calls on guests of each architecture, compared with a
# plain model of the driver; 50,000 sequences of secondary MMUs, likewise; and
# simulations of two machines between which guests move while messages get lost
# and machines die, with 10,000 seeds, which is more than a million steps.
#
#   scripts/slow.sh [RUNS]     100 migrations if not given
#
# Prints the seeds; SIMVISOR_SEED=n scripts/slow.sh runs only that one.
#
# Then runs a soak test, many clients at once on two daemons, for ten minutes or
# for SIMVISOR_SOAK_SECONDS; and a fuzzer of all methods for an hour or for
# SIMVISOR_FUZZ_SECONDS, with the date as its seed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scripts/setup.sh alone simvisord simvisor
scripts/setup.sh release

export SIMVISORD=build/release/bin/simvisord
export SIMVISOR=build/release/bin/simvisor
export PYTHONDONTWRITEBYTECODE=1 SIMVISOR_SLOW_RUNS=${1:-100}
SIMVISOR_BALLOON_SEQUENCES=${SIMVISOR_BALLOON_SEQUENCES:-2500} \
  build/release/tests/balloon_test --gtest_filter='*Balloon*Random*:BalloonSequences*'
SIMVISOR_MMU_SEQUENCES=${SIMVISOR_MMU_SEQUENCES:-50000} \
  build/release/tests/smmu_model_test --gtest_filter='*Mmu*Random*:MmuSequences*'
SIMVISOR_SIMULATION_SEEDS=${SIMVISOR_SIMULATION_SEEDS:-10000} \
  build/release/tests/simulation_test --gtest_filter='SimulationTest.*'
/usr/bin/python3 tests/e2e/migrate_random_test.py
SIMVISOR_SOAK_SECONDS=${SIMVISOR_SOAK_SECONDS:-600} \
  /usr/bin/python3 tests/e2e/soak_test.py
SIMVISOR_SEED=${SIMVISOR_SEED:-$(date +%Y%m%d)} \
SIMVISOR_SECONDS=${SIMVISOR_FUZZ_SECONDS:-3600} \
  /usr/bin/python3 tests/e2e/hostile/fuzz_test.py
