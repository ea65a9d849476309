"""Network cards whose virtual functions are given away.

Of devlink and rtnetlink there is what their commands print.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass

from cyborg.testing.hosts.catalogue import scenario
from cyborg.testing.hosts.functions import KIB, MIB, PciFunction, Sriov
from cyborg.testing.hosts.host import FakeHost
from cyborg.testing.hosts.tree import VirtualFunction


@dataclass(frozen=True, slots=True)
class _Port:
    """A physical port, which is a PCI function."""

    address: str
    ids: str
    subsystem: str
    driver: str
    _: KW_ONLY
    interface: str
    mac: str
    sriov: Sriov
    revision: str = "02"
    megabits: int = 100000
    #: Set where it is the uplink of an embedded switch.
    switch_id: str | None = None
    name: str = "p0"


def _add_port(host: FakeHost, parent: str, port: _Port) -> str:
    function = PciFunction(
        port.ids,
        "020000",
        subsystem=port.subsystem,
        revision=port.revision,
        driver=port.driver,
        bars=(32 * MIB, 0, 0, 64 * KIB),
        sriov=port.sriov,
    )
    path = host.add_function(port.address, parent, function)
    values = {
        "address": port.mac,
        "operstate": "up",
        "carrier": 1,
        "mtu": 1500,
        "speed": port.megabits,
        "dev_port": 0,
        "type": 1,
        "ifindex": 4,
        "phys_port_name": port.name,
    }
    if port.switch_id:
        values["phys_switch_id"] = port.switch_id
    _add_interface(host, path, port.interface, values)
    return path


def _add_interface(host: FakeHost, function: str, name: str, values: Mapping[str, object]) -> None:
    path = f"{function}/net/{name}"
    host.attributes(path, values)
    host.add_class_link("net", name, path)
    host.link(f"{path}/device", function)


@scenario(
    "e810-vfs",
    "E810-C two ports: port 0 with 8 VFs (iavf), port 1 plain; an X710 with 4 VFs on vfio-pci",
)
def e810_and_x710(host: FakeHost) -> None:
    """A card with and without virtual functions, and one whose virtual functions are ready."""
    host.add_chipset()
    vfs = _add_e810(host)
    vfs_of_x710 = _add_x710(host)
    _add_tools(host)
    host.expect(
        address="0000:17:00.0",
        kind="nic",
        vendor="8086",
        product="1592",
        ifname="ens801f0",
        vfs=vfs,
        trusted=["0000:17:01.0"],
        ddp="ICE OS Default Package",
        resource_class="CUSTOM_NIC",
        attach="PCI",
    )
    host.expect(
        address="0000:17:00.1", kind="nic", product="1592", ifname="ens801f1", vfs=[], attach="PCI"
    )
    host.expect(
        address="0000:3b:00.0",
        kind="nic",
        product="1572",
        ifname="ens2f0",
        vfs=vfs_of_x710,
        attach="PCI",
    )


def _add_e810(host: FakeHost) -> list[str]:
    parent = host.add_root_port(0x16, "02.0")
    paths = []
    for number, offset in enumerate((8, 135)):
        port = _Port(
            f"0000:17:00.{number}",
            "8086:1592",
            "8086:0002",
            "ice",
            interface=f"ens801f{number}",
            mac=f"b4:96:91:a0:01:{number:02x}",
            sriov=Sriov(128, "1889", offset=offset, msix=1024),
        )
        paths.append(_add_port(host, parent, port))
    virtual = PciFunction(
        "8086:1889",
        "020000",
        subsystem="8086:0000",
        revision="02",
        driver="iavf",
        bars=(128 * KIB,),
    )

    def fill(vf: VirtualFunction) -> None:
        values = {"address": f"4a:0b:00:00:00:{vf.index:02x}", "operstate": "down"}
        _add_interface(host, vf.path, f"ens801f0v{vf.index}", values)
        host.write(f"{vf.path}/sriov_vf_msix_count", "17\n", 0o200)

    return [vf.address for vf in host.add_vfs(paths[0], 8, virtual, fill)]


def _add_x710(host: FakeHost) -> list[str]:
    port = _Port(
        "0000:3b:00.0",
        "8086:1572",
        "8086:0007",
        "i40e",
        interface="ens2f0",
        mac="3c:fd:fe:aa:00:10",
        megabits=10000,
        sriov=Sriov(64, "154c", offset=16),
        revision="01",
    )
    path = _add_port(host, host.add_root_port(0x3A), port)
    virtual = PciFunction("8086:154c", "020000", subsystem="8086:0000", driver="vfio-pci")
    return [vf.address for vf in host.add_vfs(path, 4, virtual)]


def _add_tools(host: FakeHost) -> None:
    firmware = {
        "fw.mgmt": "7.5.4",
        "fw.mgmt.api": "1.7.11",
        "fw.undi": "1.3597.0",
        "fw.psid.api": "4.50",
        "fw.bundle_id": "0x8001d8b1",
        "fw.app.name": "ICE OS Default Package",
        "fw.app": "1.3.36.0",
        "fw.app.bundle_id": "0xc0000001",
        "fw.netlist": "4.4.5000-1.15.0",
    }
    information = {
        "driver": "ice",
        "serial_number": "b4-96-91-ff-ff-a0-01-00",
        "versions": {"fixed": {"board.id": "K91258-000"}, "running": firmware},
    }
    legacy = {"mode": "legacy", "inline-mode": "none", "encap-mode": "none"}
    vfs = [
        {
            "vf": index,
            "mac": f"4a:0b:00:00:00:{index:02x}",
            "trust": index == 0,
            "spoofchk": index != 0,
            "link_state": "auto",
            "vlan": 0,
        }
        for index in range(8)
    ]
    host.tool("devlink.dev-info.json", {"info": {"pci/0000:17:00.0": information}})
    host.tool("devlink.dev-eswitch.json", {"dev": {"pci/0000:17:00.0": legacy}})
    host.tool("ip-link.vf.json", [{"ifname": "ens801f0", "vfinfo_list": vfs}])


@scenario(
    "cx6dx-two-modes",
    "ConnectX-6 Dx: port 0 in switchdev mode (uplink, two VF representors), port 1 "
    "in legacy mode with two VFs",
)
def connectx6(host: FakeHost) -> None:
    """A card whose ports give their virtual functions to the network in two ways."""
    host.add_chipset()
    parent = host.add_root_port(0x64)
    switch_id = "b83fd20000c61a2c"
    path = _add_connectx6_port(host, parent, 0, offset=2, switch_id=switch_id)
    for index in range(2):
        values = {
            "address": f"ce:11:00:00:00:0{index}",
            "operstate": "up",
            "phys_port_name": f"pf0vf{index}",
            "phys_switch_id": switch_id,
            "dev_port": index + 1,
            "ifindex": 20 + index,
        }
        _add_interface(host, path, f"ens6f0npf0vf{index}", values)
    _add_connectx6_vfs(host, path, 0, "vfio-pci", "switchdev")
    path = _add_connectx6_port(host, parent, 1, offset=17)
    _add_connectx6_vfs(host, path, 1, "mlx5_core", "legacy")
    switches = {
        f"pci/0000:65:00.{number}": {"mode": mode, "inline-mode": "none", "encap-mode": "basic"}
        for number, mode in enumerate(("switchdev", "legacy"))
    }
    host.tool("devlink.dev-eswitch.json", {"dev": switches})


def _add_connectx6_port(
    host: FakeHost, parent: str, number: int, *, offset: int, switch_id: str | None = None
) -> str:
    port = _Port(
        f"0000:65:00.{number}",
        "15b3:101d",
        "15b3:0016",
        "mlx5_core",
        interface=f"ens6f{number}np{number}",
        mac=f"b8:3f:d2:c6:1a:2{number}",
        sriov=Sriov(16, "101e", offset=offset),
        revision="00",
        switch_id=switch_id,
        name=f"p{number}",
    )
    return _add_port(host, parent, port)


def _add_connectx6_vfs(host: FakeHost, path: str, number: int, driver: str, mode: str) -> None:
    virtual = PciFunction("15b3:101e", "020000", subsystem="15b3:0016", driver=driver)
    vfs = host.add_vfs(path, 2, virtual)
    host.expect(
        address=f"0000:65:00.{number}",
        kind="nic",
        product="101d",
        ifname=f"ens6f{number}np{number}",
        eswitch=mode,
        vfs=[vf.address for vf in vfs],
        resource_class="CUSTOM_NIC",
        attach="PCI",
        note="the uplink is the netdev whose phys_port_name is p0, not the first one",
    )


@scenario("many-vfs", "640 VFs: five ConnectX-6 Dx with 128 each, for timing")
def many_vfs(host: FakeHost) -> None:
    """As many functions as a host may have."""
    host.add_chipset()
    virtual = PciFunction("15b3:101e", "020000", subsystem="15b3:0059", driver="vfio-pci")
    for number in range(5):
        bus = 0x20 + 0x20 * number
        port = _Port(
            f"0000:{bus + 1:02x}:00.0",
            "15b3:101d",
            "15b3:0059",
            "mlx5_core",
            interface=f"ens{number + 1}f0np0",
            mac=f"b8:3f:d2:00:{number:02x}:00",
            sriov=Sriov(128, "101e", offset=2),
            revision="00",
        )
        path = _add_port(host, host.add_root_port(bus), port)
        vfs = host.add_vfs(path, 128, virtual)
        host.expect(
            address=port.address,
            kind="nic",
            product="101d",
            vfs=[vf.address for vf in vfs],
            resource_class="CUSTOM_NIC",
            attach="PCI",
        )
