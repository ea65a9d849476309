#!/usr/bin/env bash
# The main job, step by step, with the real openstack client against "make run".
#   OPENSTACK  the client to use (default: the one in PATH)
#   OS_CLOUD, OS_CLIENT_CONFIG_FILE  the cloud (default: what "make run" wrote)
set -euo pipefail
cd "$(dirname "$0")/.."
export OS_CLOUD=${OS_CLOUD:-cyborg-standalone}
export OS_CLIENT_CONFIG_FILE=${OS_CLIENT_CONFIG_FILE:-$PWD/clouds.yaml}
client=${OPENSTACK:-openstack}
profile=tour-$$
request='' made_profile=''

openstack() { "$client" accelerator "$@"; }

step() { printf '\n== %s\n' "$1"; }

# Show the command as one would type it, then its output.
run() {
    printf '$ openstack accelerator'
    printf ' %s' "${@@Q}" | sed "s/'\([A-Za-z0-9_.:-]*\)'/\1/g"
    printf '\n'
    openstack "$@"
}

# What a tour that broke off leaves behind would be in the way of the next.
clean_up() {
    status=$?
    [ -z "$request" ] || openstack arq delete "$request" || true
    [ -z "$made_profile" ] || openstack device profile delete "$made_profile" || true
    exit "$status"
}
trap clean_up EXIT

if [ ! -f "$OS_CLIENT_CONFIG_FILE" ] || ! openstack device list >/dev/null 2>&1; then
    echo "No service answers: start it with 'make run' in another terminal, then come back." >&2
    exit 1
fi
for _ in 1 2 3 4 5 6 7 8 9 10; do
    provider=$(openstack deployable list -f value -c uuid | head -n 1)
    [ -z "$provider" ] || break
    sleep 1
done
if [ -z "$provider" ]; then
    echo "The service has no device: see [fake_driver] in its configuration." >&2
    exit 1
fi
host=$(openstack device list -f value -c hostname | head -n 1)
instance=$(cat /proc/sys/kernel/random/uuid)
project=00000000000000000000000000000000

step "The agent has found a device on this host, and reported it."
run device list
step "What is allocated is a deployable: it has one resource provider and its handles."
run deployable list
step "An operator describes what can be asked for: one FPGA. Nova's flavors name it."
run device profile create "$profile" '[{"resources:FPGA": "1", "trait:CUSTOM_FAKE_DEVICE": "required"}]'
made_profile=$(openstack device profile show "$profile" -f value -c uuid)
step "At a boot, Nova makes an accelerator request (ARQ) for each unit of the profile."
run arq create "$profile"
request=$(openstack arq list -f value -c uuid -c device_profile_name | awk -v p="$profile" '$2 == p {print $1}')
step "It binds the request to the host and provider that Placement chose, and the server."
run arq bind "$request" "$host" "$instance" "$provider" "$project"
step "Bound: the attach handle is what the hypervisor gives to the server."
run arq show "$request"
step "The server lets go of the device: the handle is free again."
run arq unbind "$request"
run arq show "$request"
step "The request, and then the profile, can go."
run arq delete "$request"
request=''
run device profile delete "$made_profile"
made_profile=''
run arq list
step "That was the main job: ask, bind, use, give back."
