#!/bin/bash
# Installs the system packages of bindep.txt that the tests need, and starts no
# service. Does nothing, and needs no network, when they are all there.
set -euo pipefail

bindep="$(dirname "$0")/../bindep.txt"

# The packages of one platform, of the profile "test" or of none.
packages() {
    awk -v platform="platform:$1" '
        /^[a-z]/ && (!/platform:/ || index($0, platform)) { print $1 }' "$bindep"
}

installed() {
    if [ "$platform" = dpkg ]; then
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
    else
        rpm -q --quiet --whatprovides "$1" 2>/dev/null
    fi
}

if command -v dpkg-query >/dev/null || ! command -v rpm >/dev/null; then
    platform=dpkg
else
    platform=rpm
fi
missing=()
for package in $(packages $platform); do
    installed "$package" || missing+=("$package")
done

if [ ${#missing[@]} -eq 0 ]; then
    echo "deps: all system packages are installed"
    exit 0
fi
if ! command -v apt-get >/dev/null; then
    echo "deps: there is no apt-get here; please install: ${missing[*]}" >&2
    exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "deps: neither root nor sudo; please install: ${missing[*]}" >&2
        exit 1
    fi
    exec sudo bash "$0"
fi

# Debian asks this file before it starts, stops or restarts a service.
policy=/usr/sbin/policy-rc.d
kept="$policy.kept-by-cyborg"
mark="# temporary, of cyborg's tools/install_deps.sh"
restore() {
    if grep -qsF "$mark" "$policy"; then rm -f "$policy"; fi
    if [ -e "$kept" ] || [ -L "$kept" ]; then mv -f "$kept" "$policy"; fi
}
exec 9<"$(dirname "$policy")"
flock 9 # another run would take our file for the machine's own
trap restore EXIT
trap 'exit 1' HUP INT TERM
restore # after a run that was killed
if [ -e "$policy" ] || [ -L "$policy" ]; then mv "$policy" "$kept"; fi
printf '#!/bin/sh\n%s\nexit 101\n' "$mark" >"$policy"
chmod 755 "$policy"

export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1
log="$(mktemp)"
apt="apt-get -q -y -o DPkg::Lock::Timeout=300 --no-install-recommends"
if ! { $apt update && $apt install "${missing[@]}"; } \
    >"$log" 2>&1 </dev/null; then
    cat "$log" >&2
    rm -f "$log"
    echo "deps: could not install: ${missing[*]}" >&2
    exit 1
fi
rm -f "$log"
echo "deps: installed ${missing[*]}; no service was started"
