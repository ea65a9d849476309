"""What a card tells only under its own driver, while somebody else's has it."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest

from cyborg.drivers.contract import DriverError, Remembered
from cyborg.drivers.host import Host

HERE, THERE = "0000:0c:00.0", "0000:0d:00.0"
BOARD, OTHER = "10ee:5000:10ee:000e", "10ee:5001:10ee:000e"


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path / "agent")


def remembered(host: Host) -> Remembered:
    """Return what a new process knows."""
    return Remembered(host.state_file("serials"))


def test_what_cannot_be_read_is_what_it_was(host: Host) -> None:
    assert remembered(host).recall(HERE, BOARD, None) is None
    assert remembered(host).recall(HERE, BOARD, "S1") == "S1"
    for nothing in (None, ""):
        assert remembered(host).recall(HERE, BOARD, nothing) == "S1"
    assert remembered(host).recall(THERE, BOARD, None) is None


def test_what_cannot_be_read_at_all_has_the_last_name(host: Host) -> None:
    known = remembered(host)
    assert known.last(HERE) is None
    known.recall(HERE, BOARD, "S1")
    known.recall(HERE, OTHER, None)
    assert remembered(host).last(HERE) == "S1"
    assert remembered(host).last(THERE) is None


def test_what_is_read_counts(host: Host) -> None:
    known = remembered(host)
    known.recall(HERE, BOARD, "S1")
    assert known.recall(HERE, BOARD, "S2") == "S2"
    assert remembered(host).recall(HERE, BOARD, None) == "S2"


def test_another_board_is_another_card(host: Host) -> None:
    known = remembered(host)
    known.recall(HERE, BOARD, "S1")
    assert known.recall(HERE, OTHER, None) is None
    # It was a look at a moment when somebody worked on the card.
    assert known.recall(HERE, BOARD, None) == "S1"
    assert known.recall(HERE, OTHER, "S9") == "S9"
    assert known.recall(HERE, BOARD, None) is None


def test_it_is_written_only_when_it_is_new(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    known = remembered(host)
    known.recall(HERE, BOARD, "S1")
    file = host.state_directory / "serials.json"
    file.write_text(file.read_text().replace("S1", "S3"))
    before = file.stat().st_ino
    assert known.recall(HERE, BOARD, "S3") == "S3"
    known.recall(HERE, BOARD, None)
    known.forget_others([HERE])
    assert file.stat().st_ino == before


def test_what_is_gone_is_forgotten(host: Host) -> None:
    known = remembered(host)
    known.recall(HERE, BOARD, "S1")
    known.recall(THERE, BOARD, "S2")
    known.forget_others([THERE, "0000:0e:00.0"])
    assert remembered(host).recall(HERE, BOARD, None) is None
    assert remembered(host).recall(THERE, BOARD, None) == "S2"


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"version": 2, "boards": {}}',
        '{"version": 1}',
        '{"version": 1, "boards": []}',
        json.dumps({"version": 1, "boards": {HERE: {"board": BOARD}, THERE: "S1"}}),
    ],
)
def test_what_is_spoilt_is_nothing(host: Host, content: str) -> None:
    remembered(host).recall(HERE, BOARD, "S1")
    (host.state_directory / "serials.json").write_text(content)
    assert remembered(host).recall(HERE, BOARD, None) is None
    assert remembered(host).recall(HERE, BOARD, "S1") == "S1"


def test_what_cannot_be_kept_is_said(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("cyborg.drivers.host.state.replace_durably", fail)
    with pytest.raises(DriverError, match="No space left"):
        remembered(host).recall(HERE, BOARD, "S1")


def test_a_card_may_say_more_than_is_kept(host: Host) -> None:
    assert remembered(host).recall(HERE, BOARD, "S" * 1000) == "S" * 256
    assert remembered(host).recall(HERE, BOARD, None) == "S" * 256
