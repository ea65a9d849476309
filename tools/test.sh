#!/usr/bin/env bash
# Pass the tests with pytest:
#   tools/test.sh PYTHON [ARGUMENT...]
# Without arguments, all of them in two halves at the same time: those with processes of ours
# and of clients mostly wait for something.
set -uo pipefail
cd "$(dirname "$0")/.."
python=$1
shift
if [ $# -gt 0 ]; then
    exec "$python" -m pytest "$@"
fi

waiting=(cyborg/tests/functional/processes cyborg/tests/functional/clients)
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
