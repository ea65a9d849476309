"""What a bind is held to that no service asks for, and so Placement was not asked about."""

from __future__ import annotations

import pytest

from cyborg.conductor import catalogue
from cyborg.conductor.environment import Environment
from cyborg.domain.clock import new_uuid, provider_uuid
from cyborg.domain.errors import DeviceNotAvailable
from cyborg.domain.states import ArqState
from cyborg.tests.functional.conductor.harness import NAME, RP, arq, bind, card, held, make
from cyborg.tests.helpers import HOST, counted_statements, profile, report

FAKE = "CUSTOM_FAKE_DEVICE"
OTHER = f"{HOST}_other"


@pytest.fixture
def ready(env: Environment) -> Environment:
    """A card with one trait that its driver reports, and one without any."""
    report(env, card(4), card(4, OTHER, traits=()))
    return env


def directly(env: Environment, *uuids: str, rp: str = RP) -> None:
    bind(env, *uuids, instance=new_uuid(), rp=rp, by_service=False)


def asking(env: Environment, **traits: str) -> str:
    """Make an ARQ of a group with these traits."""
    group = {"resources:FPGA": "1", **{f"trait:{name}": value for name, value in traits.items()}}
    [uuid] = make(env, profile(env, f"of-{new_uuid()}", group))
    return uuid


@pytest.mark.parametrize(
    "traits",
    [
        {},
        {FAKE: "required"},
        {"CUSTOM_OTHER": "forbidden"},
        {FAKE: "required", "CUSTOM_OTHER": "forbidden"},
    ],
)
def test_what_has_the_traits_is_bound(ready: Environment, traits: dict[str, str]) -> None:
    uuid = asking(ready, **traits)
    directly(ready, uuid)
    assert arq(ready, uuid).state is ArqState.BOUND


@pytest.mark.parametrize(
    ("traits", "reason"),
    [
        ({"CUSTOM_OTHER": "required"}, "lacks the trait CUSTOM_OTHER, .* requires"),
        ({FAKE: "forbidden"}, f"has the trait {FAKE}, .* forbids"),
        ({FAKE: "required", "CUSTOM_OTHER": "required"}, "lacks the trait CUSTOM_OTHER"),
        # No name of a trait begins another.
        ({"CUSTOM_FAKE": "required"}, "lacks the trait CUSTOM_FAKE,"),
    ],
)
def test_what_has_not_is_not(ready: Environment, traits: dict[str, str], reason: str) -> None:
    uuid = asking(ready, **traits)
    with pytest.raises(DeviceNotAvailable, match=f"^Deployable {NAME} {reason}"):
        directly(ready, uuid)
    assert arq(ready, uuid).state is ArqState.INITIAL
    assert held(ready) == 0


def test_an_operators_traits_count_as_a_drivers(ready: Environment) -> None:
    wanting, refusing = (asking(ready, CUSTOM_MINE=value) for value in ("required", "forbidden"))
    # What does not name a trait is none.
    catalogue.create_attribute(ready, RP, "colour", "CUSTOM_MINE")
    with pytest.raises(DeviceNotAvailable, match="lacks the trait CUSTOM_MINE"):
        directly(ready, wanting)
    made = catalogue.create_attribute(ready, RP, "trait9", "CUSTOM_MINE")
    with pytest.raises(DeviceNotAvailable, match="has the trait CUSTOM_MINE"):
        directly(ready, refusing)
    directly(ready, wanting)
    catalogue.delete_attribute(ready, made.uuid)
    directly(ready, refusing)
    # What is bound stays, and the same again is a success.
    assert arq(ready, wanting).state is ArqState.BOUND


def test_the_traits_of_another_deployable_do_not_count(ready: Environment) -> None:
    other = provider_uuid(OTHER)
    catalogue.create_attribute(ready, other, "trait1", "CUSTOM_OTHER")
    uuid = asking(ready, CUSTOM_OTHER="required")
    with pytest.raises(DeviceNotAvailable, match=NAME):
        directly(ready, uuid)
    directly(ready, uuid, rp=other)


def test_all_or_none(ready: Environment) -> None:
    good, bad = asking(ready, **{FAKE: "required"}), asking(ready, **{FAKE: "forbidden"})
    with pytest.raises(DeviceNotAvailable):
        directly(ready, good, bad)
    assert held(ready) == 0


def test_a_service_has_asked_placement(ready: Environment) -> None:
    """It may know of a trait before we do, and after; only its word counts then."""
    uuid = asking(ready, CUSTOM_OTHER="required")
    bind(ready, uuid, instance=new_uuid())
    assert arq(ready, uuid).state is ArqState.BOUND


def test_it_is_one_statement_and_none_for_a_service(ready: Environment) -> None:
    counts = []
    for by_service in (True, False):
        uuids = [asking(ready, **{FAKE: "required"}) for _ in range(2)]
        with counted_statements(ready.database.engine) as statements:
            bind(ready, *uuids, instance=new_uuid(), by_service=by_service)
        assert sum("attributes" in statement for statement in statements) == (not by_service)
        counts.append(len(statements))
    # An instance's owner is remembered for services alone.
    assert counts[1] <= counts[0] + 1
