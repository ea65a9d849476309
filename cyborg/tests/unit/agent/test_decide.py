"""What a message with work means: every combination of what can be known of its job."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyborg.agent.decide import Answer, Begin, Decision, Drop, Join, decide
from cyborg.agent.journal import VERSION, Entry, Phase
from cyborg.domain.work import Work
from cyborg.tests.unit.agent.helpers import prepare, release, work_of

#: What a message brings.
WORK = work_of(prepare(), generation=5)
SAME, OTHER = (prepare(),), (release(),)
BOOT = "boot-1"

STEPS = {"same": SAME, "other": OTHER}
GENERATIONS = {"older": 4, "equal": 5, "newer": 6}
#: Phase, reason, and whether the device was away.
PHASES: dict[str, tuple[Phase, str | None, bool]] = {
    "started": (Phase.STARTED, None, False),
    "done": (Phase.FINISHED, None, False),
    "failed": (Phase.FINISHED, "broken", False),
    "away": (Phase.FINISHED, "gone", True),
}

#: Steps and generation of what waits or runs, beside nothing in the journal.
KNOWN = {
    "same older": "join",
    "same equal": "join",
    "same newer": "drop",
    "other older": "begin",
    "other equal": "drop",
    "other newer": "drop",
}

#: Phase, steps, generation and boot of the journal's entry, where nothing waits or runs.
JOURNALED = {
    "started same older this boot": "begin",
    "started same older other boot": "begin",
    "started same equal this boot": "begin",
    "started same equal other boot": "begin",
    "started same newer this boot": "drop",
    "started same newer other boot": "drop",
    "started other older this boot": "begin",
    "started other older other boot": "begin",
    "started other equal this boot": "drop",
    "started other equal other boot": "drop",
    "started other newer this boot": "drop",
    "started other newer other boot": "drop",
    "done same older this boot": "answer",
    "done same older other boot": "begin",
    "done same equal this boot": "answer",
    "done same equal other boot": "begin",
    "done same newer this boot": "drop",
    "done same newer other boot": "drop",
    "done other older this boot": "begin",
    "done other older other boot": "begin",
    "done other equal this boot": "drop",
    "done other equal other boot": "drop",
    "done other newer this boot": "drop",
    "done other newer other boot": "drop",
    "failed same older this boot": "begin",
    "failed same older other boot": "begin",
    "failed same equal this boot": "answer",
    "failed same equal other boot": "begin",
    "failed same newer this boot": "drop",
    "failed same newer other boot": "drop",
    "failed other older this boot": "begin",
    "failed other older other boot": "begin",
    "failed other equal this boot": "drop",
    "failed other equal other boot": "drop",
    "failed other newer this boot": "drop",
    "failed other newer other boot": "drop",
    "away same older this boot": "begin",
    "away same older other boot": "begin",
    "away same equal this boot": "answer",
    "away same equal other boot": "begin",
    "away same newer this boot": "drop",
    "away same newer other boot": "drop",
    "away other older this boot": "begin",
    "away other older other boot": "begin",
    "away other equal this boot": "drop",
    "away other equal other boot": "drop",
    "away other newer this boot": "drop",
    "away other newer other boot": "drop",
}


def known_of(name: str) -> Work:
    steps, generation = name.split()
    return replace(WORK, steps=STEPS[steps], generation=GENERATIONS[generation])


def entry_of(name: str) -> Entry:
    phase, steps, generation, boot, _ = name.split()
    work = replace(WORK, steps=STEPS[steps], generation=GENERATIONS[generation])
    how, error, away = PHASES[phase]
    return Entry(VERSION, BOOT if boot == "this" else "boot-0", how, work, error, away)


def expected(name: str, known: Sequence[Work] = (), entry: Entry | None = None) -> Decision:
    if name == "join":
        return Join(known[0])
    if name == "answer":
        assert entry is not None
        return Answer(entry.error, entry.away)
    return Begin(tuple(known)) if name == "begin" else Drop()


def test_the_tables_are_whole() -> None:
    assert len(KNOWN) == len(STEPS) * len(GENERATIONS)
    assert len(JOURNALED) == len(PHASES) * len(STEPS) * len(GENERATIONS) * 2


def test_nothing_is_known() -> None:
    assert decide(WORK, (), None, BOOT) == Begin()


@pytest.mark.parametrize("name", KNOWN)
def test_what_waits_or_runs(name: str) -> None:
    known = [known_of(name)]
    assert decide(WORK, known, None, BOOT) == expected(KNOWN[name], known)


@pytest.mark.parametrize("name", JOURNALED)
def test_what_the_journal_knows(name: str) -> None:
    entry = entry_of(name)
    assert decide(WORK, (), entry, BOOT) == expected(JOURNALED[name], entry=entry)


@pytest.mark.parametrize("in_journal", JOURNALED)
@pytest.mark.parametrize("name", KNOWN)
def test_both(name: str, in_journal: str) -> None:
    """The journal can only say that the message is too old: what goes on decides the rest."""
    known, entry = [known_of(name)], entry_of(in_journal)
    said = "drop" if JOURNALED[in_journal] == "drop" else KNOWN[name]
    assert decide(WORK, known, entry, BOOT) == expected(said, known, entry)


def test_the_newest_of_what_goes_on_counts() -> None:
    """A preparation runs and its release waits."""
    runs, waits = known_of("other older"), known_of("same equal")
    assert decide(WORK, [runs, waits], None, BOOT) == Join(waits)
    assert decide(runs, [runs, waits], None, BOOT) == Drop()
    turned_back = replace(runs, generation=6)
    assert decide(turned_back, [runs, waits], None, BOOT) == Begin((runs, waits))


def test_the_kind_is_only_a_name() -> None:
    assert decide(replace(WORK, kind="x"), [WORK], None, BOOT) == Join(WORK)


works = st.builds(work_of, st.sampled_from([prepare(), release()]), generation=st.integers(1, 4))
entries = st.builds(
    lambda boot, phase, work: Entry(VERSION, boot, phase[0], work, *phase[1:]),
    st.sampled_from([BOOT, "boot-0"]),
    st.sampled_from(list(PHASES.values())),
    works,
)


@given(works, st.lists(works, max_size=3), st.none() | entries)
def test_properties(work: Work, known: list[Work], entry: Entry | None) -> None:
    decision = decide(work, known, entry, BOOT)
    others = known if entry is None else [*known, entry.work]
    if any(other.generation > work.generation for other in others):
        assert decision == Drop()
    match decision:
        case Join(joined):
            assert joined in known
            assert (joined.steps, joined.job_uuid) == (work.steps, work.job_uuid)
        case Answer(error, away):
            assert entry is not None
            assert not known
            assert (entry.phase, entry.boot_id) == (Phase.FINISHED, BOOT)
            assert (entry.error, entry.away) == (error, away)
            assert entry.work.steps == work.steps
        case Begin(superseding):
            assert list(superseding) == known
            assert all(other.generation <= work.generation for other in others)
        case Drop():
            assert any(
                other.generation > work.generation
                or (other.generation == work.generation and other.steps != work.steps)
                for other in others
            )


@given(works, st.lists(works, max_size=3), st.none() | entries)
def test_a_message_that_comes_twice_is_done_once(
    work: Work, known: list[Work], entry: Entry | None
) -> None:
    if isinstance(decide(work, known, entry, BOOT), Begin):
        assert decide(work, [*known, work], entry, BOOT) == Join(work)
        done = Entry(VERSION, BOOT, Phase.FINISHED, work, None)
        assert decide(work, (), done, BOOT) == Answer(None)
