#!/bin/bash
# lab.sh [options] [--] COMMAND...    run a shell command in a QEMU guest full of emulated PCI devices
#   -s DIR   host folder shown read-only at /mnt/src (the command starts there); default: the current one
#   -p DIR   host folder shown read-only at /mnt/python: Python packages; default: none
#   -o DIR   host folder shown read-write at /mnt/out; default: a scratch folder that goes when the lab ends
#   -k VER   kernel: a prefix of one that setup.sh fetched: 6.1 (default) or 6.12
#   -t SEC   give up after that many seconds in all (default 300): exit status 124
#   -m MODS  kernel modules to load first (default vfio-pci)
#   -a ARGS  more kernel arguments           -q ARGS  more QEMU arguments
#   -c       print the guest's console when done     -K DIR  keep console, dmesg, times in DIR
#   -n       without intel_iommu=on (no IOMMU groups)  -N  without /dev's udevd (kernel uevents only)
# Output of the command comes as it is made; the exit status is the command's (125: the lab itself failed).
# One run at a time needs about 2.3 GiB of memory. No KVM is used, and no network: QEMU's devices have no backend.
set -euo pipefail
D=${QEMULAB_DIR:-${TMPDIR:-/tmp}/qemulab}
src=$PWD python= out= kern=6.1 limit=300 mods=vfio-pci append= qextra= console=0 keep= udev=1
iommu="intel_iommu=on iommu=pt"
while getopts s:p:o:k:t:m:a:q:cK:nN f; do case $f in
  s) src=$OPTARG;; p) python=$OPTARG;; o) out=$OPTARG;; k) kern=$OPTARG;; t) limit=$OPTARG;; m) mods=$OPTARG;; a) append=$OPTARG;; q) qextra=$OPTARG;;
  c) console=1;; K) keep=$OPTARG;; n) iommu="intel_iommu=off";; N) udev=0;; *) sed -n '2,14s/^# \{0,1\}//p' "$0"; exit 125;; esac; done
shift $((OPTIND-1)); [ $# -gt 0 ] || { sed -n '2,14s/^# \{0,1\}//p' "$0"; exit 125; }
[ -e "$D/sysdisk.img" ] || { echo "lab: run setup.sh first" >&2; exit 125; }
v=$(while read -r x; do case $x in "$kern".*|"$kern") echo "$x"; break;; esac; done <"$D/kernels")
[ -n "$v" ] || { echo "lab: no kernel $kern among $(tr '\n' ' ' <"$D/kernels")" >&2; exit 125; }
T=$(mktemp -d "${TMPDIR:-/tmp}/qemulab.XXXXXX"); pid= cat=
finish() { [ -z "$pid" ] || kill "$pid" 2>/dev/null || true; [ -z "$cat" ] || kill "$cat" 2>/dev/null || true; [ -z "$keep" ] || { mkdir -p "$keep"; cp "$T"/console "$T"/qemu.err "$O"/{dmesg,rc,uptime.ready} "$keep/" 2>/dev/null || true; }; rm -rf "$T"; }
trap finish EXIT; trap 'exit 130' INT TERM
O=${out:-$T/out}; mkdir -p "$O"; rm -f "$O/rc"
printf '%s\n' "$*" >"$O/cmd"
for d in free0 pf0 numa1 hot; do truncate -s 256M "$T/$d.img"; done

# no_timer_check: on a busy machine the timer may be too slow for the kernel's look whether it works
# Addresses (the guest's, see README.md): root ports rp* on bus 0; hp0 hp1 are empty ports for device_add
args=(-M q35,sata=off,i8042=off,vmport=off -accel tcg,thread=multi -cpu max,la57=off -smp 2,sockets=2 -m 2G -nodefaults -no-user-config -no-reboot -display none
  -object memory-backend-ram,id=m0,size=1G -object memory-backend-ram,id=m1,size=1G
  -numa node,nodeid=0,memdev=m0,cpus=0 -numa node,nodeid=1,memdev=m1,cpus=1
  -device intel-iommu,intremap=on,device-iotlb=on
  -kernel "$D/vmlinuz.$v" -initrd "$D/initrd.$v"
  -append "console=ttyS0 quiet loglevel=4 panic=-1 nokaslr mitigations=off tsc=reliable no_timer_check $iommu lab.udev=$udev lab.modules=$mods $append"
  -chardev "file,id=con,path=$T/console" -serial chardev:con
  -chardev "file,id=out,path=$T/out.pipe"
  -chardev "socket,id=mon,path=$T/qmp,server=on,wait=off" -mon chardev=mon,mode=control
  -chardev "socket,id=gmon,path=$T/qmp"
  -device virtio-serial-pci,addr=2.0,multifunction=on -device virtserialport,chardev=out,name=lab.out -device virtserialport,chardev=gmon,name=lab.qmp
  -fsdev "local,id=fsrc,path=$src,security_model=none,readonly=on,multidevs=remap" -device virtio-9p-pci,addr=2.1,fsdev=fsrc,mount_tag=src
  -fsdev "local,id=fout,path=$O,security_model=none,multidevs=remap" -device virtio-9p-pci,addr=2.2,fsdev=fout,mount_tag=out
  -vga none -device VGA,addr=3
  # drives
  -drive "if=none,id=sys,file=$D/sysdisk.img,format=raw,snapshot=on"
  -drive "if=none,id=free0,file=$T/free0.img,format=raw" -drive "if=none,id=pf0,file=$T/pf0.img,format=raw"
  -drive "if=none,id=numa1,file=$T/numa1.img,format=raw" -drive "if=none,id=hot,file=$T/hot.img,format=raw"
  -device pcie-root-port,id=rp1,bus=pcie.0,addr=10.0,multifunction=on,chassis=1,slot=1
  -device nvme,id=sysdrive,bus=rp1,drive=sys,serial=SYSTEM0001
  -device pcie-root-port,id=rp2,bus=pcie.0,addr=10.1,chassis=2,slot=2
  -device nvme,id=freedrive,bus=rp2,drive=free0,serial=FREE0001
  -device pcie-root-port,id=rp3,bus=pcie.0,addr=10.2,chassis=3,slot=3
  -device nvme-subsys,id=subsys0,nqn=lab-sriov
  -device nvme,id=nvmepf,bus=rp3,subsys=subsys0,serial=SRIOV0001,max_ioqpairs=26,msix_qsize=27,sriov_max_vfs=4,sriov_vq_flexible=16,sriov_vi_flexible=8
  -device nvme-ns,drive=pf0,bus=nvmepf,nsid=1
  # network: an SR-IOV card, a plain one, a two-function slot
  -device pcie-root-port,id=rp4,bus=pcie.0,addr=10.3,chassis=4,slot=4
  -device igb,id=igbpf,bus=rp4,mac=52:54:00:00:01:00,romfile=
  -device pcie-root-port,id=rp5,bus=pcie.0,addr=10.4,chassis=5,slot=5
  -device e1000e,id=e1000e,bus=rp5,mac=52:54:00:00:02:00,romfile=
  -device pcie-root-port,id=rp6,bus=pcie.0,addr=10.5,chassis=6,slot=6
  -device e1000e,id=mf0,bus=rp6,addr=0.0,multifunction=on,mac=52:54:00:00:03:00,romfile=
  -device e1000e,id=mf1,bus=rp6,addr=0.1,mac=52:54:00:00:03:01,romfile=
  # a PCIe switch with edu and one more card below two of its ports
  -device pcie-root-port,id=rp7,bus=pcie.0,addr=10.6,chassis=7,slot=7
  -device x3130-upstream,id=up0,bus=rp7
  -device xio3130-downstream,id=dn0,bus=up0,addr=0.0,multifunction=on,chassis=20,slot=20
  -device xio3130-downstream,id=dn1,bus=up0,addr=1.0,chassis=21,slot=21
  -device virtio-rng-pci,id=rng0,bus=dn0
  # conventional PCI behind a bridge: all in one IOMMU group
  -device pcie-root-port,id=rp8,bus=pcie.0,addr=10.7,chassis=8,slot=8
  -device pcie-pci-bridge,id=pb0,bus=rp8
  -device edu,id=edu0,bus=pb0,addr=1 -device edu,id=edu1,bus=pb0,addr=2
  # edu, alone, straight on the root complex
  -device edu,id=edu2,bus=pcie.0,addr=5
  # second NUMA node
  -device pxb-pcie,id=pxb1,bus=pcie.0,addr=6,bus_nr=128,numa_node=1
  -device pcie-root-port,id=rp9,bus=pxb1,addr=0,chassis=9,slot=9
  -device nvme,id=numadrive,bus=rp9,drive=numa1,serial=NUMA1001
  # empty ports
  -device pcie-root-port,id=hp0,bus=pcie.0,addr=11.0,multifunction=on,chassis=10,slot=10
  -device pcie-root-port,id=hp1,bus=pcie.0,addr=11.1,chassis=11,slot=11)
[ -z "$python" ] || args+=(-fsdev "local,id=fpython,path=$python,security_model=none,readonly=on,multidevs=remap"
  -device virtio-9p-pci,bus=pcie.0,addr=2.3,fsdev=fpython,mount_tag=python)
# shellcheck disable=SC2086
mkfifo "$T/out.pipe"; cat "$T/out.pipe" & cat=$!
timeout -k 5 "$limit" qemu-system-x86_64 "${args[@]}" $qextra </dev/null 2>"$T/qemu.err" & pid=$!
st=0; wait "$pid" || st=$?; pid=
[ -s "$T/console" ] || kill "$cat" 2>/dev/null || true     # QEMU refused to start: nothing will come
wait "$cat" 2>/dev/null || true
[ $console = 0 ] || { echo "--- console"; tr -d '\r' <"$T/console"; } >&2
if [ $st = 124 ] || [ $st = 137 ]; then echo "lab: not done within $limit s" >&2; exit 124; fi
[ -s "$O/rc" ] || { echo "lab: the guest did not report a status (QEMU $st)" >&2; head -5 "$T/qemu.err" >&2; tail -15 "$T/console" >&2; exit 125; }
exit "$(cat "$O/rc")"
