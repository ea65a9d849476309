"""How an audit is said: for a person, and for a program."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from cyborg.conductor.audit.disagreement import Disagreement
from cyborg.conductor.audit.looking import LOOKED_AT, Look

#: Moves on when a reader of the JSON document would have to change.
VERSION = 1


def as_text(look: Look, healed: Sequence[Disagreement], *, heals: bool) -> str:
    """Return a line for each disagreement, those of one kind together, and a summary."""
    return "\n".join(_lines(look, healed, heals))


def as_json(look: Look, healed: Sequence[Disagreement], *, heals: bool) -> str:
    """Return one document; its shape is described in the administrator's guide, "Audit"."""
    document = {
        "version": VERSION,
        "parts": {part.value: said for part, said in look.parts.items()},
        "heal": heals,
        "healed": [_plain(each) for each in healed],
        "disagreements": [_plain(each) for each in look.disagreements],
    }
    return json.dumps(document, indent=2)


def _lines(look: Look, healed: Sequence[Disagreement], heals: bool) -> Iterator[str]:
    for each in healed:
        yield f"healed {each}"
    for each in look.disagreements:
        yield f"{each} [{_what_helps(each, heals)}]"
    for part, said in look.parts.items():
        if said != LOOKED_AT:
            yield f"{part}: {said}"
    number = len(look.disagreements)
    found = f"{number} disagreement{'' if number == 1 else 's'}"
    yield f"{found}, {len(healed)} healed" if heals else found


def _what_helps(each: Disagreement, heals: bool) -> str:
    if each.remedy is None:
        return "needs a person"
    return f"not healed yet: {each.remedy}" if heals else f"--heal: {each.remedy}"


def _plain(each: Disagreement) -> dict[str, object]:
    return {
        "kind": each.kind.value,
        "about": each.about.value,
        "which": each.which,
        "host": each.host,
        "words": each.words,
        "remedy": each.remedy,
    }
