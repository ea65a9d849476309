#!/usr/bin/env bash
# Pass the tests with pytest:
#   tools/test.sh PYTHON [ARGUMENT...]
# Without arguments, all of them in two halves at the same time, which take about as long: those
# with processes of ours and of clients, which mostly wait for something, and races; and the rest.
set -uo pipefail
cd "$(dirname "$0")/.."
python=$1
shift
if [ $# -gt 0 ]; then
    exec "$python" -m pytest "$@"
fi

waiting=(cyborg/tests/functional/processes cyborg/tests/functional/clients
    cyborg/tests/functional/conductor/test_pairs.py
    cyborg/tests/functional/conductor/test_hardware_races.py)
output=$(mktemp)
trap 'rm -f "$output"' EXIT
set -m # else it would ignore SIGINT
"$python" -m pytest -o cache_dir=.pytest_cache/waiting "${waiting[@]}" >"$output" 2>&1 &
half=$!
set +m
trap 'kill -INT "$half" 2>/dev/null' INT TERM
"$python" -m pytest "${waiting[@]/#/--ignore=}"
one=$?
wait "$half"
other=$?
printf '\nThe other half, which ran at the same time: %s\n' "${waiting[*]}"
cat "$output"
exit $((one > other ? one : other))
