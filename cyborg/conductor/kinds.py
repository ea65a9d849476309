"""Every kind of work that agents can be given, by its name in rows and messages."""

from __future__ import annotations

from cyborg.conductor.cleaning import RELEASE
from cyborg.conductor.jobs import Kind
from cyborg.conductor.preparing import PREPARE
from cyborg.conductor.programming import PROGRAM
from cyborg.conductor.restoring import RESTORE
from cyborg.conductor.unclean import CLEAN

KINDS: dict[str, Kind] = {kind.name: kind for kind in (PREPARE, RELEASE, PROGRAM, CLEAN, RESTORE)}
