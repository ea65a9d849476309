"""What agents and conductors of this release have written stays readable: ``data`` is frozen.

``journal-2.json`` is a file of the journal, ``journal-2-away.json`` one of work that found its
device away; ``start-STEP.json`` is the message with work of one step. A release that reads them
no longer would forget what an agent has done, or drop what a conductor of the release before
sends. To change a format, add a field with a default; a step that has a new meaning needs a new
name, and a journal that has one a new version. New samples are added, and those that are there
stay as they are.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cyborg.agent.endpoint import WORK_USE_CASES
from cyborg.agent.journal import VERSION, Entry, Journal, Phase
from cyborg.domain.clock import utcnow
from cyborg.domain.plain import to_plain
from cyborg.domain.work import STEPS, Handle, Prepare, Program, Region, Release, Step, Work
from cyborg.rpc.table import TableEndpoint

DATA = Path(__file__).parent / "data"
JOB = "0b7a3f9c-52d1-4e68-8a17-c4f0e2d9b635"
IMAGE = "6a1f2c3d-9b8e-4f70-8d61-5e4c3b2a1908"
PROJECT = "4f1d2c7e9a03b6551e784a0d6f3b2c91"

HANDLE = Handle(
    "d2c9a6b1-7e34-4f58-9b02-1a6c8d3e5f74",
    "fake-0000:0c:00.0",
    "compute-1_FakeDevice",
    "PCI",
    {"domain": "0000", "bus": "0c", "device": "0", "function": "1"},
)
REGION = Region(
    "fake-0000:0c:00.0",
    "compute-1_FakeDevice",
    {"domain": "0000", "bus": "0c", "device": "0", "function": "0"},
)
#: What the samples stand for.
SAMPLES: dict[str, Step] = {
    "prepare": Prepare(HANDLE, {"resources:FPGA": "1", "accel:mode": "fast"}),
    "release": Release(HANDLE),
    "program": Program(REGION, IMAGE, PROJECT),
}
#: Values that are users' and drivers' own: nothing of ours is ever added to them.
THEIRS = ("info", "group", "control_path")


def work(*steps: Step, kind: str) -> Work:
    return Work(JOB, 3, kind, "fake_driver", "fake-0000:0c:00.0", steps)


#: What ``journal-2.json`` stands for.
ENTRY = Entry(
    2,
    "3f0c7e0e-6a0b-4b62-9c55-2a4f5f0f9a11",
    Phase.FINISHED,
    # Those that there were when the sample was frozen.
    work(*(SAMPLES[name] for name in ("prepare", "release", "program")), kind="several"),
    "Step 3 of 3, program: the card is hot",
)
#: What ``journal-2-away.json`` stands for.
AWAY = Entry(
    2,
    "3f0c7e0e-6a0b-4b62-9c55-2a4f5f0f9a11",
    Phase.FINISHED,
    work(SAMPLES["release"], kind="release"),
    "fake-0000:0c:00.0 is not there",
    away=True,
)
JOURNALED = {"journal-2": ENTRY, "journal-2-away": AWAY}


def sample(name: str) -> Any:
    return json.loads((DATA / f"{name}.json").read_text())


def with_fields_added(data: Any) -> Any:
    """Return what a later release may write."""
    if isinstance(data, list):
        return [with_fields_added(each) for each in data]
    if not isinstance(data, dict):
        return data
    grown = {
        key: value if key in THEIRS else with_fields_added(value) for key, value in data.items()
    }
    return {**grown, "added_later": {"x": [1]}}


def lacks(written: Any, frozen: Any) -> bool:
    """Return whether something of a sample is missing or different in what we write."""
    if isinstance(frozen, dict) and isinstance(written, dict):
        return any(key not in written or lacks(written[key], frozen[key]) for key in frozen)
    if isinstance(frozen, list) and isinstance(written, list):
        return len(written) != len(frozen) or any(map(lacks, written, frozen))
    return bool(written != frozen)


def read_as_journal(directory: Path, data: Any) -> Entry | None:
    (directory / f"{JOB}.json").write_text(json.dumps(data))
    return Journal(directory, utcnow, "boot-1").get(JOB)


def test_there_is_a_sample_of_each_step_and_of_the_journal() -> None:
    assert set(SAMPLES) >= set(STEPS)
    names = {path.stem for path in DATA.glob("*.json")}
    assert names >= {f"journal-{VERSION}"} | {f"start-{name}" for name in SAMPLES}


@pytest.mark.parametrize("name", JOURNALED)
def test_a_journal_of_this_version_is_read(tmp_path: Path, name: str) -> None:
    assert read_as_journal(tmp_path, sample(name)) == JOURNALED[name]


@pytest.mark.parametrize("name", JOURNALED)
def test_a_journal_with_fields_added_is_read(tmp_path: Path, name: str) -> None:
    assert read_as_journal(tmp_path, with_fields_added(sample(name))) == JOURNALED[name]


@pytest.mark.parametrize("name", JOURNALED)
def test_what_we_journal_is_read_by_whoever_reads_the_sample(name: str) -> None:
    assert not lacks(to_plain(JOURNALED[name]), sample(name))


@pytest.mark.parametrize("name", SAMPLES)
def test_a_message_is_understood(name: str) -> None:
    taken: list[Work] = []
    endpoint = TableEndpoint(WORK_USE_CASES, taken.append)
    endpoint.start({}, work=sample(f"start-{name}"))
    endpoint.start({}, work=with_fields_added(sample(f"start-{name}")))
    assert taken == [work(SAMPLES[name], kind=name)] * 2


@pytest.mark.parametrize("name", SAMPLES)
def test_what_we_send_is_understood_by_whoever_understands_the_sample(name: str) -> None:
    assert not lacks(to_plain(work(SAMPLES[name], kind=name)), sample(f"start-{name}"))


def test_a_journal_of_the_version_before_is_ignored(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It had no steps. The conductor is asked before anything is done again."""
    before = {
        "version": 1,
        "boot_id": "boot-1",
        "phase": "finished",
        "work": {
            "job_uuid": JOB,
            "generation": 1,
            "kind": "prepare",
            "driver": "fake_driver",
            "device": "card-1",
            "deployable": "compute-1_FakeDevice",
            "handle_uuid": HANDLE.uuid,
            "handle_type": "PCI",
            "handle_info": {"bus": "0c"},
            "group": {},
            "control_path": {},
            "image_uuid": None,
            "project_id": None,
        },
        "error": None,
    }
    assert read_as_journal(tmp_path, before) is None
    assert "journal entry ignored" in caplog.text
