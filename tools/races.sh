#!/usr/bin/env bash
# Races at length, on both servers at the same time:
#   tools/races.sh PYTHON PAIRS ROUNDS [ARGUMENT...]
# PAIRS of each kind of two, ROUNDS of each kind with an agent at work and of each over hardware.
set -uo pipefail
cd "$(dirname "$0")/.."
python=$1
export CYBORG_TEST_PAIRS=$2 CYBORG_TEST_WORKING_PAIRS=$3 CYBORG_TEST_RACES=$3
shift 3
tests=(cyborg/tests/functional/conductor/test_pairs.py
    cyborg/tests/functional/conductor/test_hardware_races.py)
output=$(mktemp)
trap 'rm -f "$output"' EXIT
run() {
    "$python" -m pytest -o "cache_dir=.pytest_cache/races-$1" -k "$1" --timeout 0 -s --durations 0 \
        "${tests[@]}" "${@:2}"
}
set -m # else it would ignore SIGINT
run mariadb "$@" >"$output" 2>&1 &
half=$!
set +m
trap 'kill -INT "$half" 2>/dev/null' INT TERM
run postgresql "$@"
one=$?
wait "$half"
other=$?
printf '\nOn MariaDB, at the same time:\n'
cat "$output"
exit $((one > other ? one : other))
