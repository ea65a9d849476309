#!/usr/bin/env bash
# Try the service under a real Nova: every flow of tools/nova/flows, one line a check.
#   MINISTACK  the directory of the small OpenStack's scripts (default: ../shared/ministack)
# Arguments: see tools/test_nova.sh --help.
set -euo pipefail
exec python3 "$(dirname "$0")/nova/run.py" "$@"
