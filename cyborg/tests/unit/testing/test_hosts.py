"""Fake hosts are sound, are always the same, and hold what their manifests say."""

from __future__ import annotations

import functools
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from cyborg.testing.hosts import (
    FakeHost,
    Manifest,
    PciFunction,
    Sriov,
    build,
    catalogue,
    happen,
    scenarios,
)
from cyborg.testing.hosts.__main__ import main
from cyborg.testing.hosts.identifiers import is_address
from cyborg.testing.hosts.tree import DRIVERS, FUNCTIONS

NAMES = list(scenarios())
#: All but one, of 28000 files, whose functions are like those of ``cx6dx-two-modes``.
QUICK = [name for name in NAMES if name != "many-vfs"]
#: Of the others, files are not as they should be.
WELL_FORMED = [name for name in QUICK if not name.startswith("bad-")]

Built = Callable[[str], Path]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """A function that returns the directory of a host, built once for all tests."""
    directory = tmp_path_factory.mktemp("hosts").resolve()

    @functools.cache
    def get(name: str) -> Path:
        build(name, directory / name)
        return directory / name

    return get


def contents(root: Path) -> Mapping[str, tuple[int, bytes]]:
    """Return what there is in a directory: modes, and what files hold or where links point."""
    return {str(path.relative_to(root)): _content(path) for path in root.rglob("*")}


def _content(path: Path) -> tuple[int, bytes]:
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        return mode, os.fsencode(path.readlink())
    # What can only be written, only root can read.
    return mode, path.read_bytes() if stat.S_ISREG(mode) and mode & stat.S_IRUSR else b""


def links(directory: Path) -> Iterator[Path]:
    """Yield every link in a directory."""
    for entry in os.scandir(directory):
        if entry.is_symlink():
            yield Path(entry.path)
        elif entry.is_dir():
            yield from links(Path(entry.path))


def functions(root: Path) -> list[Path]:
    """Return the links by which PCI functions are found."""
    return list((root / FUNCTIONS).iterdir())


@pytest.mark.parametrize("name", ["t4-v100-mdev", "rtx6000ada-audio"])
def test_a_host_is_always_the_same(built: Built, tmp_path: Path, name: str) -> None:
    build(name, tmp_path)
    assert contents(tmp_path) == contents(built(name))


@pytest.mark.parametrize("name", QUICK)
def test_no_link_leaves_its_host(built: Built, name: str) -> None:
    root = built(name)
    absolute = [link for link in links(root) if link.readlink().is_absolute()]
    outside = [link for link in links(root) if not link.resolve().is_relative_to(root)]
    assert (absolute, outside) == ([], [])


@pytest.mark.parametrize("name", WELL_FORMED)
def test_every_link_leads_somewhere(built: Built, name: str) -> None:
    assert [link for link in links(built(name)) if not link.exists()] == []


@pytest.mark.parametrize("name", WELL_FORMED)
def test_functions_are_known_to_their_groups_and_drivers(built: Built, name: str) -> None:
    for link in functions(built(name)):
        directory = link.resolve()
        assert directory.name == link.name
        for known_to in ("iommu_group/devices", "driver"):
            if (directory / known_to).exists():
                assert (directory / known_to / link.name).resolve() == directory


@pytest.mark.parametrize("name", WELL_FORMED)
def test_virtual_functions_and_physical_ones_know_each_other(built: Built, name: str) -> None:
    physical_of: dict[Path, Path] = {}
    owner_of: dict[Path, Path] = {}
    counts: dict[Path, int] = {}
    for link in functions(built(name)):
        directory = link.resolve()
        if (directory / "physfn").exists():
            physical_of[directory] = (directory / "physfn").resolve()
        owner_of |= {vf.resolve(): directory for vf in directory.glob("virtfn*")}
        if (directory / "sriov_numvfs").exists():
            counts[directory] = int((directory / "sriov_numvfs").read_text())
    assert physical_of == owner_of
    assert Counter(owner_of.values()) == Counter(counts)


@pytest.mark.parametrize("name", WELL_FORMED)
def test_files_of_a_function_agree_on_what_it_is(built: Built, name: str) -> None:
    for link in functions(built(name)):
        vendor, product = ((link / file).read_text().strip()[2:] for file in ("vendor", "device"))
        ids = (link / "config").read_bytes()[:4]
        # All ones: it does not answer any more.
        assert ids in (b"\xff" * 4, _little_endian(vendor) + _little_endian(product))
        assert f"PCI_ID={vendor}:{product}\n".upper() in (link / "uevent").read_text().upper()


def _little_endian(number: str) -> bytes:
    return bytes.fromhex(number)[::-1]


@pytest.mark.parametrize("name", QUICK)
def test_what_a_manifest_names_is_there(built: Built, name: str) -> None:
    root = built(name)
    manifest = Manifest.read(root)
    entries = [*manifest.devices, *(note for note in manifest.notes if "address" in note)]
    named = {entry["address"] for entry in entries}
    for device in manifest.devices:
        named |= {*device.get("vfs", []), *device.get("companions", []), *device.get("current", {})}
        named |= {device[key] for key in ("companion", "attach_address") if key in device}
    present = {link.name for link in functions(root)}
    assert {address for address in named if is_address(address)} <= present


@pytest.mark.parametrize("name", QUICK)
def test_what_must_be_found_is_not_what_must_not(built: Built, name: str) -> None:
    manifest = Manifest.read(built(name))
    unwanted = {note["address"] for note in manifest.notes if "must_not_be_reported" in note}
    assert not unwanted & {device["address"] for device in manifest.devices}


def test_a_manifest_is_written(tmp_path: Path) -> None:
    manifest = build("surprise-off", tmp_path)
    assert manifest == Manifest.read(tmp_path)
    assert manifest.description == scenarios()["surprise-off"]
    assert [device["address"] for device in manifest.devices] == ["0000:5e:00.0", "0000:b1:00.0"]


def test_a_host_is_built_in_an_empty_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        build("empty-host", tmp_path)


def test_a_host_that_there_is_not(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        build("no-such-host", tmp_path)


def test_a_host_of_one_s_own_is_made(tmp_path: Path) -> None:
    host = FakeHost(tmp_path)
    card = PciFunction("1234:11e8", "00ff00", driver="vfio-pci", sriov=Sriov(4, "11e9", offset=8))
    path = host.add_function("0000:21:00.0", host.add_root_port(0x20), card)
    [vf] = host.add_vfs(path, 1, PciFunction("1234:11e9", "00ff00"))
    assert vf.address == "0000:21:01.0"
    assert (tmp_path / FUNCTIONS / vf.address / "device").read_text() == "0x11e9\n"
    assert (tmp_path / DRIVERS / "vfio-pci" / "0000:21:00.0" / "virtfn0").exists()


def test_a_function_is_removed(tmp_path: Path) -> None:
    build("t4-v100-mdev", tmp_path)
    before = len(functions(tmp_path))
    happen(tmp_path, "remove", "0000:5e:00.0")
    assert len(functions(tmp_path)) == before - 1
    assert not list((tmp_path / DRIVERS).glob("*/0000:5e:00.0"))
    assert not (tmp_path / "sys/class/mdev_bus/0000:5e:00.0").is_symlink()
    # The vGPU that it had is no more either.
    assert [link for link in links(tmp_path) if not link.exists()] == []


def test_a_function_is_removed_with_its_virtual_functions(tmp_path: Path) -> None:
    build("l40s-free", tmp_path)
    before = len(functions(tmp_path))
    happen(tmp_path, "remove", "0000:3d:00.0")
    assert len(functions(tmp_path)) == before - 33
    assert [link for link in links(tmp_path) if not link.exists()] == []


def test_an_uncorrectable_error_is_counted(tmp_path: Path) -> None:
    build("t4-v100-mdev", tmp_path)
    counted = tmp_path / FUNCTIONS / "0000:5e:00.0/aer_dev_fatal"
    before = counted.read_text().splitlines()
    happen(tmp_path, "aer-fatal", "0000:5e:00.0")
    changed = set(counted.read_text().splitlines()) - set(before)
    assert changed == {"DLP 1", "TOTAL_ERR_FATAL 1"}


def test_a_link_is_degraded(tmp_path: Path) -> None:
    build("t4-v100-mdev", tmp_path)
    happen(tmp_path, "link-degraded", "0000:5e:00.0")
    function = tmp_path / FUNCTIONS / "0000:5e:00.0"
    assert (function / "current_link_width").read_text() == "4\n"
    assert (function / "current_link_speed").read_text() == "2.5 GT/s PCIe\n"
    assert (function / "max_link_width").read_text() == "16\n"


@pytest.mark.parametrize("event", ["remove", "aer-fatal", "link-degraded"])
def test_nothing_happens_to_what_is_not_there(built: Built, event: str) -> None:
    with pytest.raises(FileNotFoundError):
        happen(built("empty-host"), event, "0000:5e:00.0")


@pytest.mark.parametrize(
    ("event", "address"), [("explode", "0000:00:00.0"), ("remove", ""), ("remove", "../x")]
)
def test_what_cannot_happen(built: Built, event: str, address: str) -> None:
    with pytest.raises(ValueError, match=r"no event|not the address"):
        happen(built("empty-host"), event, address)


def test_hosts_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == NAMES


def test_a_host_is_made_by_hand(tmp_path: Path) -> None:
    arguments = ["--scenario", "empty-host", "--root", str(tmp_path / "host")]
    assert main([*arguments, "--event", "remove:0000:00:00.0"]) == 0
    assert Manifest.read(tmp_path / "host").scenario == "empty-host"
    assert not (tmp_path / "host" / FUNCTIONS / "0000:00:00.0").is_symlink()


def test_all_hosts_are_made_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES[1:]:
        monkeypatch.delitem(catalogue.SCENARIOS, name)
    assert main(["--all", "--root", str(tmp_path)]) == 0
    assert [path.name for path in tmp_path.iterdir()] == NAMES[:1]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--root", "."],
        ["--scenario", "empty-host"],
        ["--scenario", "no-such-host", "--root", "."],
        ["--scenario", "empty-host", "--root", "."],
        ["--root", ".", "--event", "remove:0000:5e:00.0"],
        ["--root", ".", "--event", "remove"],
    ],
)
def test_what_cannot_be_made_by_hand(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
