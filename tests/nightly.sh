#!/usr/bin/env bash
# What takes too long for every change: each step, all of them to the end, and a table of what came
# out. `./x nightly` runs everything, `./x nightly STEP...` some of it. Logs: build/nightly/STEP.log.
set -uo pipefail
cd "$(dirname "$0")/.."

fuzz_seconds=${GRISTMILL_NIGHTLY_FUZZ_SECONDS:-300}
seeds=${GRISTMILL_NIGHTLY_SEEDS:-100000}
# The tests of windows to sockets, disks and HTTP: threads of ours, and no CAF, which is not
# instrumented.
windows=$(find tests/unit/coordinator tests/unit/worker/http -name '*_test.cpp' |
  sed 's/.*\/\(.*\)\.cpp/[#\1]~[measure]/' | paste -sd,)

step_seeds() { ./x sim --seeds "1..$seeds"; }
step_mutants() { ./x sim --mutant all --seeds 1..10000; }
step_kills() { ./x torture --only kills --cycles 500 --seed "$(date +%Y%m%d)"; }
step_faults() { ./x torture --cycles 200 --seed "$(date +%Y%m%d)"; }
step_fuzz() { ./x fuzz "$fuzz_seconds"; }
# Rates and times mean nothing under sanitizers, and long simulations never end.
step_addresses() {
  ./x build dev && ctest --test-dir build/dev --output-on-failure --no-tests=error -j 2 -LE "sim|measuring|long"
}
# Each source by itself, as no build compiles it.
step_alone() { ./x check alone; }
step_threads() {
  ./x build tsan gristmill-unit-tests &&
    TSAN_OPTIONS="ignore_noninstrumented_modules=1 suppressions=$PWD/tests/tsan.supp" \
      build/tsan/tests/gristmill-unit-tests -# "$windows"
}

all=(seeds mutants kills faults fuzz addresses threads alone)
[ $# -gt 0 ] || set -- "${all[@]}"
mkdir -p build/nightly
failed=0 table=()
for step in "$@"; do
  if ! declare -F "step_$step" >/dev/null; then
    echo "nightly: expected one of ${all[*]}, got $step" >&2
    exit 2
  fi
  echo "nightly: $step, to build/nightly/$step.log" >&2
  begun=$(date +%s) result=passed
  "step_$step" >"build/nightly/$step.log" 2>&1 || { result=FAILED failed=1; }
  table+=("$(printf '%-10s %s %5d s' "$step" "$result" $(($(date +%s) - begun)))")
done
printf '%s\n' "${table[@]}"
exit $failed
