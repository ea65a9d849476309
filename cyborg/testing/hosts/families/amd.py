"""AMD's accelerators.

Of GIM too little is known to trust a driver by it: it has files of its own on the card.
"""

from __future__ import annotations

from cyborg.testing.hosts.catalogue import scenario
from cyborg.testing.hosts.functions import GIB, KIB, MIB, PciFunction, Sriov
from cyborg.testing.hosts.host import FakeHost
from cyborg.testing.hosts.identifiers import PciAddress

_MI300X = (
    *("0000:05:00.0", "0000:26:00.0", "0000:46:00.0", "0000:65:00.0"),
    *("0000:85:00.0", "0000:a6:00.0", "0000:c6:00.0", "0000:e5:00.0"),
)
_ROOT_PORT = "1022:14ab"
_FIRST_UNIQUE_ID = 0xA1B2_C3D4_0000_0000


@scenario("mi300x-8", "8 x Instinct MI300X on amdgpu, one of them split into CPX/NPS4")
def eight_mi300x(host: FakeHost) -> None:
    """Eight cards, the last of which is in another partition mode."""
    host.add_chipset()
    host.add_numa_node(0, "0-95")
    host.add_numa_node(1, "96-191")
    for index, address in enumerate(_MI300X):
        bus = PciAddress.parse(address).bus - 3
        port = host.add_root_port(bus, "01.1", _ROOT_PORT, index // 4)
        card = host.add_function(address, port, _card("amdgpu", index // 4))
        compute, memory = ("CPX", "NPS4") if index == 7 else ("SPX", "NPS1")
        _add_attributes(host, card, index, compute, memory)
        _add_graphics(host, card, index)
        _add_topology(host, address, index)
        host.expect(
            address=address,
            kind="gpu",
            vendor="1002",
            product="74a1",
            model="AMD Instinct MI300X",
            partition=[compute, memory],
            memory_mib=196592,
            resource_class="PGPU",
            attach="PCI",
        )


def _card(driver: str, numa: int = 0) -> PciFunction:
    return PciFunction(
        "1002:74a1",
        "120000",
        subsystem="1002:74a1",
        driver=driver,
        numa=numa,
        speed="32.0 GT/s PCIe",
        bars=(256 * GIB, 0, 2 * MIB, 0, 0, 512 * KIB),
        sriov=Sriov(8, "74b5", offset=16),
    )


def _add_attributes(host: FakeHost, card: str, index: int, compute: str, memory: str) -> None:
    values = {
        "mem_info_vram_total": 206141652992,
        "mem_info_vram_used": 297037824,
        "mem_info_vram_vendor": "hynix",
        "unique_id": f"{_FIRST_UNIQUE_ID + index:016x}",
        "serial_number": f"6923{index:08}",
        "product_name": "AMD Instinct MI300X OAM",
        "product_number": "102-G30211-0C",
        "vbios_version": "113-M3000100-102",
        "gpu_busy_percent": 0,
        "available_compute_partition": "SPX, DPX, QPX, CPX",
        "available_memory_partition": "NPS1, NPS4",
        "xgmi_hive_info/xgmi_hive_id": "8765432100000000",
        "xgmi_device_id": 1000 + index,
        "ras/features": "feature mask: 0x4005",
        "ras/gpu_vram_bad_pages": "",
    }
    blocks = ("umc", "gfx", "sdma", "xgmi_wafl", "mmhub")
    none = "ue: 0\nce: 0"  # codespell:ignore ue
    errors = {f"ras/{block}_err_count": none for block in blocks}
    host.attributes(card, values | errors)
    modes = {"current_compute_partition": compute, "current_memory_partition": memory}
    host.attributes(card, modes, 0o644)


def _add_graphics(host: FakeHost, card: str, index: int) -> None:
    minor = 128 + index
    render = f"renderD{minor}"  # codespell:ignore
    host.add_class_device(card, "drm", render, f"226:{minor}")
    host.node(f"dri/{render}", 0o666)
    path = host.add_class_device(card, "drm", f"card{index + 1}", f"226:{index + 1}")
    host.link(f"{path}/device", card)
    sensors = {
        "name": "amdgpu",
        "temp1_input": 41000,
        "temp1_label": "edge",
        "temp2_input": 45000,
        "temp2_label": "junction",
        "power1_average": 138000000,
        "power1_cap": 750000000,
    }
    host.add_hwmon(card, sensors)


def _add_topology(host: FakeHost, address: str, index: int) -> None:
    where = PciAddress.parse(address)
    properties = {
        "cpu_cores_count": 0,
        "simd_count": 1216,
        "vendor_id": 0x1002,
        "device_id": 0x74A1,
        "location_id": where.routing_id,
        "domain": where.domain,
        "drm_render_minor": 128 + index,
        "unique_id": _FIRST_UNIQUE_ID + index,
        "num_xcc": 8,
    }
    node = f"sys/devices/virtual/kfd/kfd/topology/nodes/{index + 2}"
    host.attributes(node, {"gpu_id": 28851 + index, "name": "gfx942"})
    text = "".join(f"{name} {value}\n" for name, value in properties.items())
    host.write(f"{node}/properties", text)


@scenario("mi300x-gim-cpx8", "one MI300X under AMD's GIM, CPX/NPS4, eight VFs without a driver")
def under_gim(host: FakeHost) -> None:
    """A card whose virtual functions are made by its driver's module."""
    host.add_chipset()
    port = host.add_root_port(0xC5, "01.0", _ROOT_PORT)
    card = host.add_function("0000:c6:00.0", port, _card("gim"))
    virtual = PciFunction("1002:74b5", "120000", subsystem="1002:74a1")
    vfs = host.add_vfs(card, 8, virtual)
    # The name is in GIM's description, the form is invented.
    host.write("sys/module/gim/parameters/vf_num", "8\n")
    host.expect(
        address="0000:c6:00.0",
        kind="gpu",
        vendor="1002",
        product="74a1",
        model="AMD Instinct MI300X",
        mode="gim",
        vfs=[vf.address for vf in vfs],
        resource_class="VGPU",
        attach="PCI",
        note="gim has no sriov_configure: numvfs is the module's; the PF is never offered",
    )
