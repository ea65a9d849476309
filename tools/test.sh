#!/usr/bin/env bash
# Pass the tests with pytest:
#   tools/test.sh PYTHON [ARGUMENT...]
# Without arguments, all of them in three parts at the same time, which take about as long on two
# processors: some that wait for pauses and deadlines of ours, with some that never wait; the others
# with processes of ours or of clients, and races; and the rest.
set -uo pipefail
cd "$(dirname "$0")/.."
python=$1
shift
# Some hundred processes of ours are started: where Python is told to keep nothing that it compiles,
# each would compile us anew.
"$python" -m compileall -q cyborg || exit
if [ $# -gt 0 ]; then
    exec "$python" -m pytest "$@"
fi

functional=cyborg/tests/functional
processes=$functional/processes
mixed=("$processes"/test_{agents_queue,audit,broker_says_no,commands,credentials,faults}.py
    "$processes"/test_{hanging,no_conductor,reboot,start_and_stop,two_machines}.py
    "$functional"/conductor/{hardware_model,test_model.py,test_slow_services.py}
    "$functional"/fuzz "$functional"/matrix "$functional"/test_servers.py)
# The faults come last, when the machine has most time for what is measured there.
working=("$functional"/clients "$functional"/conductor/test_{pairs,races,hardware_races}.py)
for file in "$processes"/test_*.py; do
    case " ${mixed[*]} $processes/test_chaos.py " in
        *" $file "*) ;;
        *) working+=("$file") ;;
    esac
done
working+=("$processes"/test_chaos.py)

output=$(mktemp -d)
trap 'rm -rf "$output"' EXIT
set -m # else they would ignore SIGINT
"$python" -m pytest -o cache_dir=.pytest_cache/mixed "${mixed[@]}" >"$output/mixed" 2>&1 &
parts=($!)
"$python" -m pytest -o cache_dir=.pytest_cache/working "${working[@]}" >"$output/working" 2>&1 &
parts+=($!)
set +m
trap 'kill -INT "${parts[@]}" 2>/dev/null' INT TERM
"$python" -m pytest "${mixed[@]/#/--ignore=}" "${working[@]/#/--ignore=}"
status=$?
for part in "${parts[@]}"; do
    wait "$part" || status=1
done
for part in mixed working; do
    printf '\nA part that ran at the same time (%s):\n' "$part"
    cat "$output/$part"
done
exit "$status"
