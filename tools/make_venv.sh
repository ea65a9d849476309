#!/usr/bin/env bash
# Make a virtual environment with the pinned versions of a file, constraints.txt by default:
#   [CONSTRAINTS=FILE] tools/make_venv.sh PYTHON DIRECTORY PIP-ARGUMENT...
set -euo pipefail
python=$1 directory=$2
shift 2

if ! command -v "$python" >/dev/null; then
    echo "Python 3.11 or later is needed: on Debian or Ubuntu, 'apt install python3 python3-venv'." >&2
    exit 1
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "$("$python" --version) is too old: Python 3.11 or later is needed (make PYTHON=python3.12 ...)." >&2
    exit 1
fi
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    echo "Python's venv is missing: on Debian or Ubuntu, 'apt install python3-venv'." >&2
    exit 1
fi

echo "Installing into $directory (once)..."
"$python" -m venv "$directory"
"$directory/bin/pip" install --quiet --disable-pip-version-check \
    -c "${CONSTRAINTS:-constraints.txt}" 'pip' 'setuptools' 'pbr' "$@"
