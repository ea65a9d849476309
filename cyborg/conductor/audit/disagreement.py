"""What an audit says: one sentence for each thing that contradicts another.

The names of :class:`Kind` are part of the command's output and stay.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass


class Kind(enum.StrEnum):
    """Which rule is broken."""

    # Requests and handles
    UNKNOWN_VALUE = "unknown-value"
    HOLDING_WITHOUT_HANDLE = "holding-without-handle"
    HANDLE_NOT_HELD = "handle-not-held"
    HANDLE_ELSEWHERE = "handle-elsewhere"
    GIVEN_TWICE = "given-twice"
    COUNTERS_DIFFER = "counters-differ"
    # Work
    JOB_UNREADABLE = "job-unreadable"
    JOB_WITHOUT_SUBJECT = "job-without-subject"
    JOB_AGAINST_STATE = "job-against-state"
    WAITING_WITHOUT_JOB = "waiting-without-job"
    PROGRAMMING_WITHOUT_JOB = "programming-without-job"
    UNCLEAN_WITHOUT_JOB = "unclean-without-job"
    JOB_OVERDUE = "job-overdue"
    JOB_LEASED_TOO_LONG = "job-leased-too-long"
    # Events
    EVENT_WITHOUT_REQUEST = "event-without-request"
    EVENT_AGAINST_STATE = "event-against-state"
    FAILING_WITHOUT_EVENT = "failing-without-event"
    EVENT_OVERDUE = "event-overdue"
    # Hosts and what their devices hold
    HOST_SILENT = "host-silent"
    HOST_WITHHELD = "host-withheld"
    CONTENT_CONTRADICTED = "content-contradicted"
    # Placement
    PROVIDER_MISSING = "provider-missing"
    PROVIDER_DIFFERS = "provider-differs"
    PROVIDER_FOREIGN = "provider-foreign"
    PROVIDER_ORPHANED = "provider-orphaned"
    ALLOCATION_WITHOUT_REQUEST = "allocation-without-request"
    REQUEST_WITHOUT_ALLOCATION = "request-without-allocation"
    # Nova
    SERVER_GONE = "server-gone"
    SERVER_ELSEWHERE = "server-elsewhere"


class About(enum.StrEnum):
    """What the uuid, or the name, of a disagreement is of."""

    REQUEST = "accelerator request"
    HANDLE = "attach handle"
    DEVICE = "device"
    DEPLOYABLE = "deployable"
    COUNTER = "counter"
    JOB = "job"
    EVENT = "event"
    HOST = "host"
    PROVIDER = "resource provider"


#: What ``--heal`` does about a kind; the others need a person.
REMEDIES: Mapping[Kind, str] = {
    Kind.HOLDING_WITHOUT_HANDLE: "what was to be released is ended",
    Kind.HANDLE_NOT_HELD: "the handle is cleaned before anybody gets it",
    Kind.JOB_UNREADABLE: "the job is deleted, and begun anew if it is waited for",
    Kind.JOB_WITHOUT_SUBJECT: "the job is deleted",
    Kind.JOB_AGAINST_STATE: "the job is deleted",
    Kind.WAITING_WITHOUT_JOB: "the release is begun anew; a bind has failed",
    Kind.PROGRAMMING_WITHOUT_JOB: "the programming has failed",
    Kind.UNCLEAN_WITHOUT_JOB: "the agent is asked for its whole report, which begins the cleaning",
    Kind.COUNTERS_DIFFER: "the agent is asked for its whole report, which counts anew",
    Kind.JOB_LEASED_TOO_LONG: "the job is due at once",
    Kind.EVENT_WITHOUT_REQUEST: "the event is deleted",
    Kind.EVENT_AGAINST_STATE: "the event is deleted",
    Kind.FAILING_WITHOUT_EVENT: "Nova is told of the failure",
    Kind.EVENT_OVERDUE: "the event is due at once",
    Kind.PROVIDER_MISSING: "the provider is made",
    Kind.PROVIDER_DIFFERS: "the provider is made what it should be",
    Kind.PROVIDER_ORPHANED: "the provider is deleted; with allocations, all of it is reserved",
    Kind.REQUEST_WITHOUT_ALLOCATION: "the accelerator request is deleted, once its grace is over",
}


@dataclass(frozen=True, slots=True)
class Seen:
    """A row as it was when it was looked at: what is healed must still be so."""

    id: int
    generation: int


@dataclass(frozen=True, slots=True)
class Disagreement:
    """One thing that contradicts another."""

    kind: Kind
    about: About
    #: Its uuid; the name of a host or a counter.
    which: str
    host: str | None
    #: One sentence.
    words: str
    #: Whether ``--heal`` does anything about it.
    healable: bool = False
    request: Seen | None = None
    handle: Seen | None = None
    job: Seen | None = None
    event: Seen | None = None

    @property
    def identity(self) -> tuple[object, ...]:
        """What is equal for the same thing seen twice, if nothing has happened in between."""
        seen = (self.request, self.handle, self.job, self.event)
        # Of a provider the words are all that there is.
        words = self.words if self.about is About.PROVIDER else None
        return (self.kind, self.about, self.which, self.host, *seen, words)

    @property
    def remedy(self) -> str | None:
        """What ``--heal`` does; None: a person is needed."""
        return REMEDIES[self.kind] if self.healable else None

    def __str__(self) -> str:
        return f"{self.kind}: {self.words}"
