"""Bitstreams of a host: from a Glance that obeys tests, over HTTP, onto real files."""

from __future__ import annotations

import datetime
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from keystoneauth1 import loading
from oslo_config import cfg

from cyborg.agent.bitstream_cache import BitstreamCache
from cyborg.agent.bitstreams import BitstreamError, Bitstreams
from cyborg.clients.glance import load_glance
from cyborg.domain.clock import new_uuid, utcnow
from cyborg.domain.errors import ConfigurationError, ServiceUnavailable
from cyborg.tests.helpers import glance_client
from cyborg.tests.servers import GlanceStandIn, Keystone
from cyborg.tests.unit.drivers.helpers import make_conf

MINE, OTHERS = "1" * 32, "2" * 32
DATA = os.urandom(300_000)

Make = Callable[..., Bitstreams]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "bitstreams"


@pytest.fixture
def make(glance: GlanceStandIn, directory: Path) -> Make:
    """Make what fetches from the stand-in, with changes of the agent's options."""

    def made(clock: Callable[[], float] | None = None, **agent: Any) -> Bitstreams:
        cache = BitstreamCache(directory, utcnow)
        client = glance_client(glance.url)
        more = {} if clock is None else {"clock": clock}
        return Bitstreams(make_conf(agent=agent), client, cache, **more)

    return made


@pytest.fixture
def bitstreams(make: Make) -> Bitstreams:
    return make()


def files(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir()) if directory.exists() else []


def name_of(data: bytes) -> str:
    return f"sha512-{hashlib.sha512(data).hexdigest()}"


def test_it_is_downloaded_checked_and_kept(
    glance: GlanceStandIn, bitstreams: Bitstreams, directory: Path
) -> None:
    uuid = glance.add(DATA, MINE, properties={"vendor": "0xABCD", "shell_id": "x"})
    found = bitstreams.fetch(uuid, MINE)
    assert (found.image_uuid, found.path.read_bytes()) == (uuid, DATA)
    assert found.properties["vendor"] == "0xABCD"
    assert files(directory) == [name_of(DATA)]
    assert bitstreams.fetch(uuid, MINE).path == found.path
    assert glance.downloads(uuid) == 1
    # Another image of the same content needs no download either.
    other = glance.add(DATA, MINE)
    assert bitstreams.fetch(other, MINE).path == found.path
    assert glance.downloads(other) == 0


@pytest.mark.parametrize(
    ("project", "image"),
    [
        (MINE, {"owner": MINE}),
        (MINE, {"owner": MINE, "visibility": "shared"}),
        (MINE, {"owner": OTHERS, "visibility": "public"}),
        (MINE, {"owner": OTHERS, "visibility": "community"}),
        (MINE, {"owner": OTHERS, "visibility": "shared", "members": {MINE: "accepted"}}),
        (None, {"owner": None, "visibility": "public"}),
    ],
)
def test_what_a_project_may_use(
    glance: GlanceStandIn, bitstreams: Bitstreams, project: str | None, image: dict[str, Any]
) -> None:
    assert bitstreams.fetch(glance.add(DATA, **image), project).path.read_bytes() == DATA


@pytest.mark.parametrize(
    ("project", "image"),
    [
        (MINE, {"owner": OTHERS}),
        (MINE, {"owner": None}),
        (None, {"owner": None}),
        (MINE, {"owner": OTHERS, "members": {MINE: "accepted"}}),
        (MINE, {"owner": OTHERS, "visibility": "shared"}),
        (MINE, {"owner": OTHERS, "visibility": "shared", "members": {OTHERS: "accepted"}}),
        (MINE, {"owner": OTHERS, "visibility": "shared", "members": {MINE: "pending"}}),
        (MINE, {"owner": OTHERS, "visibility": "shared", "members": {MINE: "rejected"}}),
        (MINE, {"owner": OTHERS, "status": "queued"}),
    ],
)
def test_what_a_project_may_not_use_is_not_there(
    glance: GlanceStandIn,
    bitstreams: Bitstreams,
    directory: Path,
    project: str | None,
    image: dict[str, Any],
) -> None:
    uuid, unknown = glance.add(DATA, **image), new_uuid()
    texts = []
    for each in (uuid, unknown):
        with pytest.raises(BitstreamError) as caught:
            bitstreams.fetch(each, project)
        texts.append(str(caught.value).replace(each, "X"))
    assert texts == ["Image X could not be found."] * 2
    assert glance.downloads(uuid) == 0
    assert files(directory) == []


def test_what_is_kept_is_no_way_around(glance: GlanceStandIn, bitstreams: Bitstreams) -> None:
    uuid = glance.add(DATA, OTHERS)
    bitstreams.fetch(uuid, OTHERS)
    with pytest.raises(BitstreamError, match="could not be found"):
        bitstreams.fetch(uuid, MINE)


@pytest.mark.parametrize("status", ["queued", "saving", "deactivated", "pending_delete"])
def test_what_is_not_active(glance: GlanceStandIn, bitstreams: Bitstreams, status: str) -> None:
    with pytest.raises(BitstreamError, match=f"is {status}, not active"):
        bitstreams.fetch(glance.add(DATA, MINE, status=status), MINE)


def test_data_that_are_not_what_glance_says(
    glance: GlanceStandIn, bitstreams: Bitstreams, directory: Path
) -> None:
    uuid = glance.add(DATA, MINE, sent=DATA[:-1] + b"x")
    with pytest.raises(BitstreamError, match="sha512 differs"):
        bitstreams.fetch(uuid, MINE)
    assert glance.downloads(uuid) == 2
    assert files(directory) == []


def test_without_the_strong_hash_the_checksum_counts(
    glance: GlanceStandIn, bitstreams: Bitstreams, directory: Path
) -> None:
    uuid = glance.add(DATA, MINE, hash_algorithm=None)
    assert bitstreams.fetch(uuid, MINE).path.read_bytes() == DATA
    md5 = hashlib.md5(DATA, usedforsecurity=False)  # what Glance calls the checksum
    assert files(directory) == [f"md5-{md5.hexdigest()}"]
    uuid = glance.add(DATA, MINE, hash_algorithm=None, sent=b"x")
    bitstreams.fetch(uuid, MINE)
    assert glance.downloads(uuid) == 0
    uuid = glance.add(b"other", MINE, hash_algorithm=None, sent=b"x")
    with pytest.raises(BitstreamError, match="md5 differs"):
        bitstreams.fetch(uuid, MINE)


def test_without_any_hash_nothing_is_believed(
    glance: GlanceStandIn, bitstreams: Bitstreams
) -> None:
    uuid = glance.add(DATA, MINE, hash_algorithm=None, checksum=False)
    with pytest.raises(BitstreamError, match="no hash"):
        bitstreams.fetch(uuid, MINE)


def test_a_download_that_breaks_off_is_begun_again(
    glance: GlanceStandIn, bitstreams: Bitstreams, directory: Path
) -> None:
    uuid = glance.add(DATA, MINE, breaks=1)
    assert bitstreams.fetch(uuid, MINE).path.read_bytes() == DATA
    assert glance.downloads(uuid) == 2
    uuid = glance.add(DATA[1:], MINE, breaks=2)
    with pytest.raises(ServiceUnavailable):
        bitstreams.fetch(uuid, MINE)
    assert files(directory) == [name_of(DATA)]


def test_what_is_too_large_is_not_even_asked_for(glance: GlanceStandIn, make: Make) -> None:
    uuid = glance.add(b"x" * (1024 * 1024 + 1), MINE)
    with pytest.raises(BitstreamError, match="bitstream_max_size"):
        make(bitstream_max_size=1).fetch(uuid, MINE)
    assert glance.downloads(uuid) == 0


def test_what_turns_out_too_large(glance: GlanceStandIn, make: Make, directory: Path) -> None:
    uuid = glance.add(DATA, MINE, sent=b"x" * (1024 * 1024 + 1))
    with pytest.raises(BitstreamError, match="bitstream_max_size"):
        make(bitstream_max_size=1).fetch(uuid, MINE)
    assert files(directory) == []


def test_what_takes_too_long(glance: GlanceStandIn, make: Make, directory: Path) -> None:
    times = iter(range(0, 1_000_000, 200))
    uuid = glance.add(DATA, MINE)
    with pytest.raises(BitstreamError, match="takes too long"):
        make(clock=lambda: float(next(times)), bitstream_download_timeout=300).fetch(uuid, MINE)
    assert files(directory) == []


def test_an_empty_image(glance: GlanceStandIn, bitstreams: Bitstreams) -> None:
    with pytest.raises(BitstreamError, match="is empty"):
        bitstreams.fetch(glance.add(b"", MINE), MINE)


def test_a_file_that_has_rotted_is_fetched_again(
    glance: GlanceStandIn, bitstreams: Bitstreams
) -> None:
    uuid = glance.add(DATA, MINE)
    path = bitstreams.fetch(uuid, MINE).path
    path.write_bytes(DATA[:-1])
    assert bitstreams.fetch(uuid, MINE).path.read_bytes() == DATA
    assert glance.downloads(uuid) == 2


def test_a_glance_that_fails(glance: GlanceStandIn, bitstreams: Bitstreams) -> None:
    uuid = glance.add(DATA, MINE)
    for status in (500, 503, 403):
        glance.failing(status)
        with pytest.raises(ServiceUnavailable, match=str(status)):
            bitstreams.fetch(uuid, MINE)
    glance.normal()
    glance.down()
    with pytest.raises(ServiceUnavailable):
        bitstreams.fetch(uuid, MINE)
    glance.up()
    assert bitstreams.fetch(uuid, MINE).path.read_bytes() == DATA


def test_a_disk_that_takes_nothing(
    glance: GlanceStandIn, bitstreams: Bitstreams, directory: Path
) -> None:
    directory.write_text("a file where a directory should be")
    with pytest.raises(BitstreamError, match="cannot be stored"):
        bitstreams.fetch(glance.add(DATA, MINE), MINE)


def test_what_an_agent_left_unfinished_goes_when_it_starts(directory: Path) -> None:
    directory.mkdir()
    (directory / "tmpabc.part").write_bytes(DATA[:10])
    (directory / name_of(DATA)).write_bytes(DATA)
    BitstreamCache(directory, utcnow).remove_unfinished()
    assert files(directory) == [name_of(DATA)]
    BitstreamCache(directory / "none", utcnow).remove_unfinished()


def test_what_is_old_or_too_much_goes_and_what_is_in_use_stays(
    glance: GlanceStandIn, directory: Path
) -> None:
    now = [utcnow()]
    cache = BitstreamCache(directory, lambda: now[0])
    conf = make_conf(agent={"bitstream_cache_size": 1, "bitstream_cache_age": 100})
    bitstreams = Bitstreams(conf, glance_client(glance.url), cache)
    contents = [bytes([n]) * 600_000 for n in range(3)]
    fetched = []
    for data in contents:
        fetched.append(bitstreams.fetch(glance.add(data, MINE), MINE))
        os.utime(fetched[-1].path, (now[0].timestamp(),) * 2)
        now[0] += datetime.timedelta(seconds=10)
    bitstreams.purge()
    assert len(files(directory)) == 3, "all are in use"
    bitstreams.release(fetched[0])
    bitstreams.release(fetched[2])
    bitstreams.purge()
    assert sorted(files(directory)) == sorted(map(name_of, contents[1:])), "the oldest goes"
    now[0] += datetime.timedelta(seconds=200)
    bitstreams.purge()
    assert files(directory) == [name_of(contents[1])]
    bitstreams.release(fetched[1])
    bitstreams.purge()
    assert files(directory) == []


class TestDirectory:
    """A host without Glance."""

    @pytest.fixture
    def local(self, directory: Path, tmp_path: Path) -> Bitstreams:
        directory.mkdir()
        conf = make_conf(agent={"bitstream_directory": str(directory), "bitstream_max_size": 1})
        return Bitstreams(conf, None, BitstreamCache(tmp_path / "cache", utcnow))

    def test_a_file_by_its_name(self, local: Bitstreams, directory: Path) -> None:
        uuid = new_uuid()
        (directory / uuid).write_bytes(DATA)
        found = local.fetch(uuid.upper(), MINE)
        assert (found.image_uuid, found.path, found.properties) == (uuid, directory / uuid, {})
        local.release(found)
        local.purge()
        assert found.path.exists()

    def test_what_is_not_there(self, local: Bitstreams, directory: Path) -> None:
        uuid = new_uuid()
        (directory / uuid).mkdir()
        for each in (uuid, new_uuid()):
            with pytest.raises(BitstreamError, match="could not be found"):
                local.fetch(each, MINE)

    def test_what_cannot_be_used(self, local: Bitstreams, directory: Path) -> None:
        for data in (b"", b"x" * (1024 * 1024 + 1)):
            uuid = new_uuid()
            (directory / uuid).write_bytes(data)
            with pytest.raises(BitstreamError, match=r"empty|bitstream_max_size"):
                local.fetch(uuid, MINE)

    def test_no_name_leads_elsewhere(self, local: Bitstreams) -> None:
        with pytest.raises(ValueError, match="badly formed"):
            local.fetch("../../etc/passwd", MINE)

    def test_neither_glance_nor_a_directory(self, tmp_path: Path) -> None:
        nothing = Bitstreams(make_conf(), None, BitstreamCache(tmp_path, utcnow))
        with pytest.raises(BitstreamError, match="neither"):
            nothing.fetch(new_uuid(), MINE)


def glance_conf(keystone: Keystone, **changes: Any) -> cfg.ConfigOpts:
    conf = make_conf(glance={"auth_type": "password"})
    conf.register_opts(loading.get_auth_plugin_conf_options("password"), group="glance")
    values = {"region_name": "RegionOne", **keystone.credentials("cyborg"), **changes}
    for name, value in values.items():
        conf.set_override(name, value, group="glance")
    return conf


def test_with_the_credentials_of_the_configuration(
    keystone: Keystone, keystone_glance: GlanceStandIn, directory: Path
) -> None:
    """The service may read any image, and what a project may use is still what counts."""
    demo, other = keystone.project_id("demo"), keystone.project_id("other")
    uuid = keystone_glance.add(DATA, demo)
    conf = glance_conf(keystone)
    bitstreams = Bitstreams(conf, load_glance(conf), BitstreamCache(directory, utcnow))
    assert bitstreams.fetch(uuid, demo).path.read_bytes() == DATA
    with pytest.raises(BitstreamError, match="could not be found"):
        bitstreams.fetch(uuid, other)


@pytest.mark.parametrize("suffix", ["", "/", "/v2", "/v2/", "/v2.0"])
def test_an_endpoint_with_and_without_its_version(
    keystone: Keystone, keystone_glance: GlanceStandIn, directory: Path, suffix: str
) -> None:
    conf = glance_conf(keystone, endpoint_override=keystone_glance.url + suffix)
    bitstreams = Bitstreams(conf, load_glance(conf), BitstreamCache(directory, utcnow))
    uuid = keystone_glance.add(DATA, MINE)
    assert bitstreams.fetch(uuid, MINE).path.read_bytes() == DATA


def test_no_glance_in_the_catalogue(keystone: Keystone, directory: Path) -> None:
    conf = glance_conf(keystone)
    bitstreams = Bitstreams(conf, load_glance(conf), BitstreamCache(directory, utcnow))
    with pytest.raises(ServiceUnavailable, match="Glance"):
        bitstreams.fetch(new_uuid(), MINE)


def test_options_that_cannot_be_used() -> None:
    assert load_glance(make_conf()) is None
    with pytest.raises(ConfigurationError, match=r"\[glance\]"):
        load_glance(make_conf(glance={"auth_type": "nonsense"}))
