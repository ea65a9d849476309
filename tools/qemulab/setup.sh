#!/bin/bash
# setup.sh: makes what lab.sh boots, once: QEMU, two Debian kernels, a small Debian rootfs with Python on a disk image.
# Needs Debian 12 (bookworm), and some 65 s.
# Only Debian's packages are used, through apt with a private source list: the machine's own lists stay as they are
# (QEMU itself is installed on the machine). State: $QEMULAB_DIR, by default ${TMPDIR:-/tmp}/qemulab. Needs root.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
D=${QEMULAB_DIR:-${TMPDIR:-/tmp}/qemulab}
# kernels: bookworm's (6.1, with security updates) and its backports' (6.12)
# the archives are those that the machine's own apt uses
repo() { apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 'Created-By: Packages' | awk -v r="$1" '$1==r{print $2; exit}'; }
[ -n "$(repo bookworm)" ] || apt-get update -qq
mirror=${QEMULAB_MIRROR:-$(repo bookworm)} security=${QEMULAB_SECURITY:-$(repo bookworm-security)}
[ -n "$mirror" ] && [ -n "$security" ] || { echo "setup: apt knows no bookworm and bookworm-security: name them in QEMULAB_MIRROR and QEMULAB_SECURITY" >&2; exit 1; }
mkdir -p "$D"/{apt/lists/partial,apt/archives/partial,debs,k}
key=/usr/share/keyrings/debian-archive-keyring.gpg
cat >"$D/apt/sources.list" <<S
deb [signed-by=$key] $mirror bookworm main
deb [signed-by=$key] $security bookworm-security main
deb [signed-by=$key] $mirror bookworm-backports main
S
A=(-o "Dir::Etc::sourcelist=$D/apt/sources.list" -o Dir::Etc::sourceparts=- -o "Dir::State::lists=$D/apt/lists" -o APT::Sandbox::User=root -qq)
say() { echo "setup: $*" >&2; }
export DEBIAN_FRONTEND=noninteractive

if ! [ -e "$D/stamp.pkg" ]; then
  say "packages"
  apt-get "${A[@]}" update
  apt-get "${A[@]}" install -y --no-install-recommends busybox-static debootstrap kmod cpio fdisk e2fsprogs xz-utils >"$D/install.log" 2>&1
  apt-get "${A[@]}" install -y --no-install-recommends -t bookworm-backports qemu-system-x86 seabios >>"$D/install.log" 2>&1
  touch "$D/stamp.pkg"
fi
kver() { apt-cache "${A[@]}" show "linux-image-amd64$1" | sed -n 's/^Depends: \(linux-image-[^ ,]*\).*/\1/p' | head -1; }
if ! [ -e "$D/kernels" ]; then
  say "kernels"
  madison() { apt-cache "${A[@]}" madison linux-image-amd64 | awk -F'|' '{gsub(/ /,"",$2); print $2}' | sort -rV; }
  : >"$D/kernels.new"
  for p in "$(kver "=$(madison | grep -v '~bpo' | head -1)")" "$(kver "=$(madison | grep '~bpo' | head -1)")"; do
    v=${p#linux-image-}
    grep -qx "$v" "$D/kernels.new" && continue
    (cd "$D/debs" && apt-get "${A[@]}" download "$p" && dpkg -x "$p"_*.deb "$D/k/$v")
    echo "$v" >>"$D/kernels.new"
  done
  mv "$D/kernels.new" "$D/kernels"
fi
# QEMULAB_PACKAGES: more Debian packages for the guest, with spaces between; another list makes the rootfs anew
more=$(echo "${QEMULAB_PACKAGES-}" | tr -s ' ' ,)
if ! [ -e "$D/stamp.rootfs" ] || [ "$(cat "$D/stamp.rootfs")" != "$more" ]; then
  say "rootfs"
  rm -rf "$D/rootfs"
  debootstrap --variant=minbase --include="python3,python3-venv,nvme-cli,pciutils,udev,kmod,iproute2,mdevctl,ethtool,fdisk${more:+,$more}" \
    bookworm "$D/rootfs" "$mirror" >"$D/debootstrap.log" 2>&1
  rm -rf "$D"/rootfs/var/cache/apt/archives/*.deb "$D"/rootfs/var/lib/apt/lists/* "$D"/rootfs/usr/share/{doc,man,locale}
  echo "$more" >"$D/stamp.rootfs"
fi
say "image"
R=$D/rootfs
install -m755 "$here"/guest/{lab-init,qmp,uevents} "$R/usr/local/sbin/"
mkdir -p "$R/mnt/src" "$R/mnt/python" "$R/mnt/out" "$R/lib/modules"
modlist="nvme ext4 virtio_pci"          # needed before the root disk is there
while read -r v; do
  m=$R/lib/modules/$v
  if ! [ -d "$m" ]; then
    cp -a "$D/k/$v/lib/modules/$v" "$m"
    rm -rf "$m"/kernel/{sound,drivers/media,drivers/net/wireless,drivers/gpu,drivers/infiniband,drivers/staging}
  fi
  depmod -b "$R" "$v"
  i=$D/initrd.$v.d; rm -rf "$i"; mkdir -p "$i"/{bin,dev,proc,sys,root,m}
  cp /bin/busybox "$i/bin/"; ln -s busybox "$i/bin/sh"
  for w in $modlist; do modprobe -d "$R" -S "$v" --show-depends "$w"; done | awk '/^insmod/{print $2}' | awk '!s[$0]++' >"$i/list"
  # a module may need others that depmod does not know of (crc32c for ext4)
  for w in crc32c_generic crc32c-intel; do modprobe -d "$R" -S "$v" --show-depends $w 2>/dev/null | awk '/^insmod/{print $2}'; done | cat - "$i/list" | awk '!s[$0]++' >"$i/list2"
  n=10; : >"$i/m/order"
  while read -r f; do b=$n-$(basename "${f%.xz}"); case $f in *.xz) xz -dc "$f" >"$i/m/$b";; *) cp "$f" "$i/m/$b";; esac; echo "$b" >>"$i/m/order"; n=$((n+1)); done <"$i/list2"
  rm "$i/list" "$i/list2"
  install -m755 "$here/guest/initrd-init" "$i/init"
  (cd "$i" && find . | cpio -o -H newc --quiet) >"$D/initrd.$v"; rm -rf "$i"
  cp "$D/k/$v/boot/vmlinuz-$v" "$D/vmlinuz.$v"
done <"$D/kernels"
# the system drive: GPT, 1 = root (ext4), 2 = swap
img=$D/sysdisk.img; rm -f "$img" "$img.p1"; truncate -s 1800M "$img.p1"
mke2fs -q -t ext4 -L labroot -O ^has_journal -d "$R" "$img.p1"
truncate -s 2G "$img"
printf 'label: gpt\nstart=2048,size=%d,name=root\nsize=100M,type=swap,name=swap\n' $((1800*2048)) | sfdisk -q "$img"
dd if="$img.p1" of="$img" bs=1M seek=1 conv=notrunc,sparse status=none
truncate -s 0 "$img.p1"; truncate -s 100M "$img.p1"; chmod 600 "$img.p1"; mkswap -q "$img.p1" >/dev/null
dd if="$img.p1" of="$img" bs=1M seek=1801 conv=notrunc,sparse status=none; rm "$img.p1"
say "ready in ${D}: kernels $(tr '\n' ' ' <"$D/kernels")"
