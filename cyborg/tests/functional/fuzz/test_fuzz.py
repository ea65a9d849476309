"""Each operation, in several versions, as everybody: no answer that the document does not have."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.schemas import OpenApiSchema

from cyborg.api import microversions, openapi
from cyborg.api.app import RESOURCES
from cyborg.api.microversions import DEVICE_STATUS, MAXIMUM, MINIMUM, Version
from cyborg.tests.functional.fuzz.cases import AnyCase, AnyOperation, cases, good, header
from cyborg.tests.functional.fuzz.checks import ask, schema_of
from cyborg.tests.functional.fuzz.conftest import EXAMPLES
from cyborg.tests.functional.fuzz.world import NOBODY, PERSONAS, World

EVERYBODY = (*PERSONAS, NOBODY)
ALL_VERSIONS = [(MINIMUM[0], minor) for minor in range(MINIMUM[1], MAXIMUM[1] + 1)]

#: The short run: everybody in the newest version, two in the oldest and in one between.
SHORT: dict[Version, tuple[str, ...]] = {
    MINIMUM: ("admin", "service"),
    DEVICE_STATUS: ("admin", "service"),
    MAXIMUM: EVERYBODY,
}
PLAN = dict.fromkeys(ALL_VERSIONS, EVERYBODY) if EXAMPLES else SHORT
#: Examples an operation, a persona and a version.
SHORT_EXAMPLES = 15

#: It is there to be refused.
NEVER = "DELETE /attributes"


def operations(version: Version) -> Iterator[str]:
    """Return what can be done: method and path."""
    for path, methods in openapi.document(RESOURCES, version, "")["paths"].items():
        for method in methods:
            yield f"{method.upper()} {path}"


@functools.cache
def schema(world: World, version: Version) -> OpenApiSchema:
    return schema_of(world, version)


def operation_of(world: World, version: Version, label: str) -> AnyOperation:
    method, path = label.split(" ")
    return schema(world, version)[path][method]


each_operation = pytest.mark.parametrize(
    ("version", "label"),
    [
        pytest.param(version, label, id=f"{microversions.text(version)} {label}")
        for version in PLAN
        for label in operations(version)
    ],
)


@each_operation
def test_it_can_succeed(world: World, version: Version, label: str) -> None:
    """Else the cases of the other test might all be refused, for a reason of no interest."""
    case = good(operation_of(world, version, label), world.known, version)
    # Whom Nova asks for, where it has to be allowed something.
    persona = "service" if "accelerator_requests" in label else "admin"
    response = ask(world, case, version, persona)
    assert (200 <= response.status_code < 300) == (label != NEVER), response.text


@each_operation
def test_answers_are_those_of_the_document(
    world: World,
    figures: dict[tuple[str, str], Counter[int]],
    version: Version,
    label: str,
) -> None:
    operation = operation_of(world, version, label)
    statuses = figures.setdefault((microversions.text(version), label), Counter())
    for persona in PLAN[version]:
        if EXAMPLES or (version == MAXIMUM and persona == "admin"):
            for case in limits(operation, version):
                statuses[ask(world, case, version, persona).status_code] += 1
        fuzz(world, operation, version, persona, statuses)


def limits(operation: AnyOperation, version: Version) -> Iterator[AnyCase]:
    """Return schemathesis's cases at the limits of each schema, and of methods not there."""
    found = operation.schema.iter_coverage_cases(
        operation,
        generation_modes=list(GenerationMode),
        generation_config=operation.schema.config.generation,
    )
    for case in found:
        # Without the version's header, or with another, another document applies.
        if case.meta.phase.data.parameter != microversions.HEADER:
            case.headers[microversions.HEADER] = header(version)
            yield case


def fuzz(
    world: World,
    operation: AnyOperation,
    version: Version,
    persona: str,
    statuses: Counter[int],
) -> None:
    """Send as many cases as there are to be."""

    @settings(
        max_examples=EXAMPLES or SHORT_EXAMPLES,
        # The same ones in each short run.
        derandomize=not EXAMPLES,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    @given(cases(operation, world.known, version))
    def each(case: AnyCase) -> None:
        statuses[ask(world, case, version, persona).status_code] += 1

    try:
        each()
    except BaseException as error:
        error.add_note(f"as {persona}, in version {microversions.text(version)}")
        raise
