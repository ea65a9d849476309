"""Histories of hardware in which something was wrong once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cyborg.conductor.environment import Environment
from cyborg.tests.functional.conductor.hardware_model.cards import Design, Group
from cyborg.tests.functional.conductor.hardware_model.sights import Sight
from cyborg.tests.functional.conductor.hardware_model.stories import Story
from cyborg.tests.functional.conductor.harness import only_sqlite

pytestmark = only_sqlite

Begin = Callable[..., Story]


@pytest.fixture
def begin(env: Environment) -> Begin:
    """Begins a history with these cards."""
    env.conf.set_override("release_attempts", 2, group="conductor")
    return lambda *designs: Story(env, *designs)


def test_a_card_is_known_by_its_function_whatever_else_changes(begin: Begin) -> None:
    """Another driver, another name and other shapes at once: the whole was still offered."""
    story = begin(Design.FUNCTIONS)
    story.report(Sight.OTHER_DRIVER)
    story.cut(0, Group.FUNCTIONS)
    story.report()
    assert story.offers() == {"0000:3a:00.0": 2}
    story.end()


def test_a_card_of_somebodys_is_not_free_where_a_nameless_one_was(begin: Begin) -> None:
    story = begin(Design.PLAIN, Design.NAMELESS)
    story.report()
    request = story.bind(0)
    story.swap(0, 1)
    story.report()
    assert story.offers() == {}
    story.delete(request)
    story.end()


def test_a_nameless_card_is_as_dirty_as_it_went(begin: Begin) -> None:
    """Another card, known by its serial number, has been in its place meanwhile."""
    story = begin(Design.PLAIN, Design.NAMELESS)
    story.report()
    request = story.bind(1)
    nameless = story.pull(1)
    story.move(0, 1)
    story.report()
    story.delete(request)
    for _ in range(4):
        story.report()
        story.work()
    assert story.offers() == {"0000:4b:00.0": 1}
    story.put(3, nameless)
    story.report()
    assert story.offers() == {"0000:4b:00.0": 1}
    story.work()
    story.end()


def test_a_card_that_says_its_name_at_last_is_as_dirty_as_it_went(begin: Begin) -> None:
    story = begin(Design.PLAIN)
    story.report(Sight.BY_ADDRESS)
    request = story.bind(0)
    card = story.pull(0)
    story.delete(request)
    story.report()
    story.put(2, card)
    story.report()
    assert story.offers() == {}
    story.work()
    story.end()


def test_nothing_is_cleaned_under_who_has_a_part_of_it(begin: Begin) -> None:
    story = begin(Design.FUNCTIONS, Design.PLAIN)
    story.cut(0, Group.WHOLE, Group.FUNCTIONS)
    story.report()
    other = story.bind(1)
    story.pull(1)
    story.delete(other)
    request = story.bind(0, "_functions")
    # It may be the other one, which is nowhere.
    story.report(Sight.BY_ADDRESS)
    story.work()
    story.delete(request)
    story.report()
    story.work()
    story.end()
