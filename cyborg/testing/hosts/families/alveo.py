"""Alveo cards: one function manages the card, another one is given away.

The mailbox between the two cannot be shown, nor a hot reset.
"""

from __future__ import annotations

from cyborg.testing.hosts.catalogue import scenario
from cyborg.testing.hosts.functions import KIB, MIB, PciFunction
from cyborg.testing.hosts.host import FakeHost

_SHELL = "xilinx_u250_gen3x16_xdma_shell_4_1"
_LOGIC = "12c8fafb0632499db1c0c6676271b8a6"
_LOGIC_UUID = "12c8fafb-0632-499d-b1c0-c6676271b8a6"
_INTERFACE = "c0e5fc5f1ba940e3b27d3e4e2f9a1c77"
_INSTANCE = 55296


def _management(product: str) -> PciFunction:
    return PciFunction(
        f"10ee:{product}",
        "120000",
        subsystem="10ee:000e",
        driver="xclmgmt",
        bars=(32 * MIB, 0, 128 * KIB),
    )


def _user(product: str) -> PciFunction:
    return PciFunction(
        f"10ee:{product}",
        "120000",
        subsystem="10ee:000e",
        driver="xocl",
        bars=(32 * MIB, 0, 128 * KIB, 0, 256 * MIB),
    )


@scenario(
    "xilinx-u250",
    "Alveo U250: management PF (xclmgmt) and user PF (xocl), shell up, no xclbin loaded",
)
def u250(host: FakeHost) -> None:
    """A card that waits for user logic."""
    host.add_chipset()
    port = host.add_root_port(0xD7)
    management = host.add_function("0000:d8:00.0", port, _management("5004"))
    user = host.add_function("0000:d8:00.1", port, _user("5005"))
    _add_management_attributes(host, management)
    _add_user_attributes(host, user)
    host.tool("xbmgmt.examine.platform.json", _examined_platform())
    host.tool("xrt-smi.examine.host.json", _examined_host())
    host.expect(
        address="0000:d8:00.0",
        companion="0000:d8:00.1",
        kind="fpga",
        vendor="10ee",
        product="5004",
        model="Alveo U250",
        shell=_SHELL,
        shell_uuid=_LOGIC_UUID,
        function=None,
        resource_class="FPGA",
        attach="PCI",
        attach_address="0000:d8:00.1",
        note="the management PF must stay with the host",
    )


def _add_management_attributes(host: FakeHost, path: str) -> None:
    values = {
        "instance": _INSTANCE,
        "error": 0,
        "flash_type": "spi",
        "mfg": 0,
        "recovery": 0,
        "mgmt_pf": 1,
        "slot": 0xD8,
        "xpr": 1,
        "rp_program": 0,
        "version": 0,
    }
    host.attributes(path, values, 0o644)
    _add_common_attributes(host, path, f"rom.m.{_INSTANCE}")
    name = f"xclmgmt{_INSTANCE}"
    host.add_class_device(path, "xrt_mgmt", name, "238:0")
    host.node(name)


def _add_user_attributes(host: FakeHost, path: str) -> None:
    values = {
        "user_pf": 1,
        "xclbinuuid": "",
        "kdsstat": "",
        "mailbox_connect_state": "0x1",
        "shutdown": 0,
    }
    host.attributes(path, values, 0o644)
    _add_common_attributes(host, path, f"rom.u.{_INSTANCE + 1}")
    host.add_class_device(path, "drm", "renderD129", "226:129")
    host.node("dri/renderD129", 0o666)


def _add_common_attributes(host: FakeHost, path: str, rom: str) -> None:
    values = {
        "board_name": "u250",
        "ready": "0x1",
        "dev_offline": 0,
        "mig_calibration": 1,
        "versal": 0,
        "link_speed": 3,
        "link_speed_max": 3,
        "link_width": 16,
        "link_width_max": 16,
    }
    host.attributes(path, values, 0o644)
    host.attributes(path, {"logic_uuids": _LOGIC, "interface_uuids": _INTERFACE})
    memory = {
        "VBNV": _SHELL,
        "FPGA": "xcu250-figd2104-2L-e",
        "ddr_bank_count_max": 4,
        "ddr_bank_size": 16,
        "timestamp": 0,
    }
    host.attributes(f"{path}/{rom}", memory)


def _examined_platform() -> dict[str, object]:
    platform = {
        "bdf": "0000:d8:00.0",
        "flash_type": "spi",
        "hardware": {"serial_num": "21320621V00G"},
        "device_properties": {
            "board_type": "u250",
            "board_name": "ALVEO U250 PQ",
            "config_mode": "7",
            "max_power_watts": "225",
        },
        "current_shell": {
            "vbnv": "xilinx_u250_gen3x16_base_4",
            "sc_version": "4.6.21",
            "id": "0x0",
            "logic-uuid": "F5720C34-6DD2-5F4D-A9C8-CC4D0C2A43A8",
            "interface-uuid": "807EEC3B-3E1A-4F80-8F5D-9D4C0C9D7E11",
        },
        "current_partitions": {
            "partition_info": {"vbnv": _SHELL, "logic-uuid": _LOGIC_UUID.upper()}
        },
        "status": {"shell": "true", "sc": "true", "is_factory": "false", "is_recovery": "false"},
    }
    device = {
        "interface_type": "pcie",
        "device_id": "0000:d8:00.0",
        "device_status": "healthy",
        "platform": platform,
    }
    schema = {"schema": "JSON", "creation_date": "Thu Aug 20 09:00:00 2026 GMT"}
    return {"schema_version": schema, "devices": [device]}


def _examined_host() -> dict[str, object]:
    device = {
        "bdf": "0000:d8:00.1",
        "vbnv": _SHELL,
        "id": _LOGIC_UUID.upper(),
        "instance": "user(inst=129)",
        "is_ready": "true",
    }
    return {"system": {"host": {"devices": [device]}}}


@scenario(
    "alveo-two",
    "a U55C with an xclbin loaded, and a U250 after a cold boot whose shell is not programmed yet",
)
def two_cards(host: FakeHost) -> None:
    """A card with user logic, and one that is not ready for any."""
    host.add_chipset()
    _add_loaded_u55c(host)
    management = host.add_function("0000:a1:00.0", host.add_root_port(0xA0), _management("5004"))
    _add_short_attributes(host, management, "u250", is_ready=False)
    host.write(f"{management}/logic_uuids")
    _add_management_files(host, management, 0xA100, "xilinx_u250_base")
    host.expect(
        address="0000:a1:00.0",
        kind="fpga",
        vendor="10ee",
        product="5004",
        model="Alveo U250",
        shell=None,
        attachable=False,
        reason="the shell must be programmed before custom user logic can be loaded",
        note="whether the user function shows up before that differs; here it does not (invented)",
    )


def _add_loaded_u55c(host: FakeHost) -> None:
    shell = "xilinx_u55c_gen3x16_xdma_base_3"
    port = host.add_root_port(0x60)
    management = host.add_function("0000:61:00.0", port, _management("505c"))
    user = host.add_function("0000:61:00.1", port, _user("505d"))
    for path in (management, user):
        _add_short_attributes(host, path, "u55c", is_ready=True)
        host.attributes(path, {"logic_uuids": "97088961feaeda91052b7d1ff9e6dbf3"})
    _add_management_files(host, management, 0x6100, shell)
    # The user logic is invented.
    host.attributes(user, {"xclbinuuid": "1f7c9e5b2a604d3f8c11d8a9b0e4c6f2"})
    host.attributes(f"{user}/rom.u.{0x6101}", {"VBNV": shell})
    host.expect(
        address="0000:61:00.0",
        companion="0000:61:00.1",
        kind="fpga",
        vendor="10ee",
        product="505c",
        model="Alveo U55C",
        shell=shell,
        function="1f7c9e5b-2a60-4d3f-8c11-d8a9b0e4c6f2",
        resource_class="FPGA",
        attach="PCI",
        attach_address="0000:61:00.1",
    )


def _add_short_attributes(host: FakeHost, path: str, board: str, *, is_ready: bool) -> None:
    values = {
        "board_name": board,
        "ready": f"0x{is_ready:x}",
        "dev_offline": 0,
        "mfg": 0,
        "recovery": 0,
        "versal": 0,
        "mig_calibration": int(is_ready),
    }
    host.attributes(path, values, 0o644)


def _add_management_files(host: FakeHost, path: str, instance: int, shell: str) -> None:
    host.attributes(path, {"instance": instance})
    host.attributes(path, {"rp_program": 0}, 0o644)
    host.attributes(f"{path}/rom.m.{instance}", {"VBNV": shell})
    host.node(f"xclmgmt{instance}")
