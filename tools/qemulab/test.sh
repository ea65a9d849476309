#!/usr/bin/env bash
# Try the pci driver on real kernels, one boot each, and print what came of it:
#   tools/qemulab/test.sh PYTHON [ARGUMENT...]
# PYTHON is that of the environment whose packages the guest is shown. The arguments are pytest's.
#   QEMULAB_KERNELS  which kernels (6.1 6.12)
#   QEMULAB_DIR      where the lab is, and is made if it is not there (/tmp/qemulab); needs root
set -uo pipefail
cd "$(dirname "$0")/../.."
python=$1
shift
lab=tools/qemulab
export QEMULAB_DIR=${QEMULAB_DIR:-${TMPDIR:-/tmp}/qemulab}

version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
if [ "$version" != 3.11 ]; then
    echo "test-lab: the guest has Python 3.11, and $python is $version." \
        "Make another environment: make test-lab VENV=.venv-lab PYTHON=python3.11" >&2
    exit 1
fi
if ! [ -e "$QEMULAB_DIR/sysdisk.img" ]; then
    $lab/setup.sh || exit
fi
packages=$("$python" -c 'import os, sysconfig; print(os.path.realpath(sysconfig.get_path("purelib")))')
# The guest can keep nothing that it compiles.
"$python" -m compileall -q cyborg $lab/tests
results=$(mktemp -d "${TMPDIR:-/tmp}/test-lab.XXXXXX")
trap 'rm -rf "$results"' EXIT
# Nothing but what is named here is loaded: an import takes long in there.
pytest="PYTHONUNBUFFERED=1 PYTHONPATH=/mnt/src:/mnt/python PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 \
python3 -m pytest -v -p pytest_timeout --junitxml /mnt/out/results.xml"
# It is not waited for, but for what it says at its end: what hangs in the kernel may keep it.
run_in() {
    local kernel=$1
    shift
    $lab/lab.sh -k "$kernel" -t 3000 -s "$PWD" -p "$packages" -o "$results/$kernel" -- \
        "cd $lab/tests && LAB_STATUS=/tmp/status $pytest $([ $# = 0 ] || printf '%q ' "$@") &" \
        "until [ -s /tmp/status ] || ! kill -0 \$!; do sleep 1; done; exit \$(cat /tmp/status)"
}
status=0
for kernel in ${QEMULAB_KERNELS:-6.1 6.12}; do
    echo "--- Linux $kernel"
    mkdir "$results/$kernel"
    run_in "$kernel" "$@"
    ended=$?
    if ! [ -e "$results/$kernel/uptime.ready" ]; then
        echo "test-lab: Linux $kernel did not come up; once more" >&2
        run_in "$kernel" "$@"
        ended=$?
    fi
    [ $ended = 0 ] || status=1
done
"$python" $lab/lab_table.py "$results" || status=1
exit $status
