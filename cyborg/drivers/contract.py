"""The contract between the agent and a driver: all that a driver's author needs to know.

A driver is a class that derives from :class:`Driver`, takes a :class:`DriverEnvironment`,
and is named by an entry point of the group ``cyborg.accelerator.driver``. An operator
switches it on in ``[agent] enabled_drivers``. :mod:`cyborg.drivers.fake` is the example,
and :mod:`cyborg.testing.drivers` asks most of what follows of every driver.
This module and :mod:`cyborg.drivers.host` are all that a driver imports of ours.

Life
    The agent makes one object of each driver at its start and keeps it until its end. An
    exception in the constructor keeps the agent from starting, so look at hardware only in
    ``discover``. There is no shutdown call: the agent may be killed at any instruction.

Options
    A driver's options are in a section of its own, listed in ``OPTIONS``; the agent registers
    them before the driver is made. Read them when they are needed, since SIGHUP changes those
    that are mutable. A wrong value is refused before the driver sees it, if the option's type
    and limits say what is wrong.

Host
    Files, commands and devices are reached through ``environment.host`` only, so that tests
    can give a host that is a directory. What the hardware cannot keep goes into a state file.

Identity
    ``identity`` says which card it is, wherever it is: its serial number or uuid where one can
    be read, else the address. It may change between the two, when a vendor's tool begins to
    work, and the card stays the same one to the service. Do not let it depend on what is bound
    to the card, where that can be avoided: a serial that only the vendor's kernel module can
    read is gone while a guest has the card. Take what can always be read, or let
    :class:`Remembered` keep which serial is at which address and on which board.

What a handle is
    ``info`` is what Nova is given, and may change at any time. Which piece of hardware the
    handle *is*, and how much it takes of others, is said apart from it, and nobody gets what
    is taken:

    * ``key`` names the hardware, in one spelling. Leave it empty for a PCI function, whose
      address is its key (``0000:42:00.0``), and where all of ``info`` says it.
    * ``shares`` are parts of *counters*, each with a name of yours that is one on the host, and
      with a capacity. A PCI function always takes the whole of the counter that is called as
      its key; what else a handle takes of others is a :class:`Share` each.

    A card that is offered whole and in parts: its physical function ``0000:42:00.0`` is a handle
    without more, and each of its four virtual functions declares
    ``Share("0000:42:00.0", 1, 4)``. As long as one has an owner, the card is not given
    whole, and the other way round. The same holds for a card of 80 GB that can be cut in more
    than one way: each slice takes ``Share("GPU-6f2a/memory", 20, 80)``, or 40 of 80. Two
    functions that cannot be given to two (one IOMMU group) each take all of one counter,
    ``Share("iommu/15")``. A mediated device takes its part of its parent by itself, as many
    of its type as are reported being the whole.

    So one function that is reported twice, by two drivers or in two spellings, is still one:
    the driver that is named first in ``[agent] enabled_drivers`` has it. A deployable has as
    many handles as ``num_accelerators`` says.

Condition
    ``condition`` says how a device is that is *there*: healthy, degraded, failed, or
    unmonitored (the default: nobody looks). A failed one is given to nobody; whoever has it
    keeps it. ``condition_reason`` says why, in plain words that stay as they are while it is
    so: no counts, no times, no temperatures. What goes up and down at a limit needs a margin.

Content
    ``bitstream_id`` is the image that a deployable holds, where the hardware can tell. None
    says nothing; ``is_empty`` says that it holds no image, and that this is known.

Threads
    ``discover`` runs in one thread at a time, at every ``[DEFAULT] periodic_interval``.
    ``prepare``, ``release``, ``check`` and ``program`` run in other threads, each call in a new
    one: never two at once for devices of one queue (``queue_of``), which is each device's own
    unless the driver says otherwise, but for different ones, and beside ``discover``. Guard what
    they share, and hold no lock that all devices need while hardware is waited for: one card that
    hangs would stop all.

Time
    A ``discover`` that takes longer than ``[agent] discovery_timeout`` counts as failed, and
    is not called again until it returns. ``prepare``, ``release`` and ``check`` may take
    ``[agent] call_timeout``, ``program`` may take ``[agent] program_timeout``. Nobody can end a
    call that takes longer: it *hangs*, and so does its card. Its work has failed, the card is
    reported as failed whatever ``discover`` says of it, and nothing else is called for it until
    the call returns. What it returns counts for nothing. So give every command that you run a
    timeout of its own, shorter than that, and say ``longest_call`` if your hardware is slow: what
    hangs each time that it is released is never clean.

Idempotence
    Before each ``prepare``, ``release`` and ``program`` the agent asks the conductor whether
    this attempt still may, so what comes is wanted now. But every call may come again: after
    a success, a failure, or an agent that was killed in the middle. ``prepare`` of what is
    ready and ``release`` of what was never prepared are successes. So check what the hardware
    says, then act; what is only in the object's memory is gone after a restart. Either may be
    the first call that the object ever gets.

Errors
    Raise :class:`DriverError` with one line that helps an operator; it becomes the reason
    that users of the accelerator request see, so put no secret in it. Anything else that is
    raised counts as a failure too, and is logged with its traceback as a bug of the driver.
    After a failed ``prepare`` the agent may call either ``prepare`` or ``release``.

Clean steps
    A driver whose release takes long, or of which an operator may choose parts, is a
    :class:`StepwiseDriver`: it names the steps of a release, and the agent calls ``clean`` for
    each of them in turn, with a timeout of its own, records which are done, and shows which one
    is under way. What failed, or was killed, goes on with the step that was not done.

Cards that are reset together
    The functions of a module, or the cards of a hive, are no use to an instance one by one, and
    cannot be reset while somebody has one of them. Their driver is a :class:`JointDriver`: it
    gets all handles of one instance in one queue (``queue_of``) at once, and is told what else
    of the queue somebody has.

Away
    A call may name a device that is not there any more, or whose place another one has. Look
    for ``handle.device`` (or ``region.device``), not only for what is at the address. If it is
    not there, raise :class:`DeviceAway`. A card that comes back is as dirty as it went.

Programming
    A driver whose devices can be made to hold a bitstream is :class:`Programmable` too.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Protocol, runtime_checkable

from oslo_config import cfg

from cyborg.domain.errors import ConfigurationError
from cyborg.domain.hardware import Share
from cyborg.domain.inventory import DeployableReport, DeviceReport, HandleReport
from cyborg.domain.model import DeviceCondition
from cyborg.domain.text import plain
from cyborg.domain.work import Handle, Region
from cyborg.drivers.clean_steps import CleanStep, Progress, chosen_steps, clean_options
from cyborg.drivers.errors import DeviceAway, DriverError, NotNow
from cyborg.drivers.host import Host, NoVerbs, Possession, Remembered, Verbs

__all__ = [
    "VERSION",
    "Bitstream",
    "CleanStep",
    "ConfigurationError",
    "DeployableReport",
    "DeviceAway",
    "DeviceCondition",
    "DeviceReport",
    "Discovery",
    "Driver",
    "DriverEnvironment",
    "DriverError",
    "Handle",
    "HandleReport",
    "Host",
    "JointDriver",
    "NotNow",
    "NotOffered",
    "OptionGroup",
    "Possession",
    "Problem",
    "Programmable",
    "Progress",
    "Region",
    "Remembered",
    "Share",
    "StepwiseDriver",
    "Verbs",
    "Wanted",
    "chosen_steps",
    "clean_options",
    "plain",
]

#: Of this contract. It grows by one with each release that adds to it; what a driver was written
#: for keeps its meaning. 2 added the host's files and programs, verbs, a clock, ``configure``,
#: ``queue_of``, clean steps and joint drivers.
VERSION = 2

#: A section of the configuration file and its options, as oslo.config's generators take them.
OptionGroup = tuple[cfg.OptGroup, Sequence[cfg.Opt]]


@dataclass(frozen=True, slots=True)
class DriverEnvironment:
    """What the agent gives to a driver. Use these and nothing global, so that tests can."""

    #: The driver's options are in it, beside the service's.
    conf: cfg.ConfigOpts
    #: Name of the host's resource provider, with which names of deployables begin.
    host_name: str
    #: The host itself. Touch nothing of it in another way.
    host: Host
    #: Sleeps for so many seconds; a test's returns at once.
    sleep: Callable[[float], None]
    #: What needs privileges. Whoever does it looks again whether it may be done.
    verbs: Verbs = field(default_factory=NoVerbs)
    #: Seconds, from any beginning, that go on whatever the host's clock is set to.
    clock: Callable[[], float] = time.monotonic


@dataclass(frozen=True, slots=True)
class Bitstream:
    """An image for a region, as a file of this host, whose content was checked."""

    image_uuid: str
    path: Path
    #: What the image's owner says of it in Glance; nothing where there is no Glance.
    properties: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that ``discover`` could not read, while it read the rest."""

    #: A path or an address.
    where: str
    what: str
    #: Identity of the one device that this hides. Where it is not known which, None.
    device: str | None = None


@dataclass(frozen=True, slots=True)
class NotOffered:
    """Something that was found and read, and is not offered: no problem, and not absent.

    A card that is in use by the host itself, or that waits for an operator's decision. The
    agent says so in its log, once.
    """

    #: A path or an address.
    where: str
    why: str


@dataclass(frozen=True, slots=True)
class Discovery:
    """What one scan found, what it could not look at, and what it leaves out on purpose.

    A device that is not in it is *absent* and goes from the inventory after some time, unless
    there is a problem. One that names a device keeps that device as it was. One that names
    none keeps all absent devices of this driver as they were, since nobody knows which of
    them it hides; so name the device wherever its identity can be known.
    """

    devices: tuple[DeviceReport, ...] = ()
    problems: tuple[Problem, ...] = ()
    not_offered: tuple[NotOffered, ...] = ()


class Driver(ABC):
    """A family of devices. Read this module's description first."""

    #: The entry point's name, which is also ``driver`` of every device that it reports.
    name: ClassVar[str]
    #: The version of the contract that it needs: an agent of an earlier release refuses it.
    contract_version: ClassVar[int] = 1
    #: Its options, by section. The drivers of a family may share one.
    OPTIONS: ClassVar[tuple[OptionGroup, ...]] = ()
    #: Its devices do not exist, which an agent in earnest warns of.
    simulated: ClassVar[bool] = False
    #: It uses the verbs of its environment, so that the agent gets its privileges at its start.
    needs_privileges: ClassVar[bool] = False
    #: Seconds that a ``prepare``, ``release`` or ``check`` of its slowest device can take, if that
    #: may be more than ``[agent] call_timeout`` has: such a call hangs only later than that.
    longest_call: float = 0.0

    def __init__(self, environment: DriverEnvironment) -> None:
        self.environment = environment

    def configure(self) -> None:
        """Read the options, and refuse what does not fit together or to this host.

        Called before the first ``discover``, and whenever options may have changed: what was
        read before stays where this raises. It may look at hardware, as ``discover`` does.

        :raises ConfigurationError: in one line: which option, and why. At its start the agent
            does not go on; later it says so in its log.
        """
        return

    @abstractmethod
    def discover(self) -> Discovery:
        """Return the devices that are there now, without changing anything and without root.

        One bad device must not hide the good ones: leave it out and add a :class:`Problem`
        that names it. One that is there and broken is reported, with its condition.
        The same hardware gives the same report, whatever else happens: no counters, times
        or temperatures, which would be written to the database at each scan, and a fixed
        order within a device (sort what sysfs lists). Handles stay listed while they are in
        use. A device's ``identity`` and a deployable's ``name`` must be unique on the host,
        beside those of all other drivers.

        :raises DriverError: nothing could be looked at. Known devices stay as they were.
        """

    def queue_of(self, device: str) -> str:
        """Return the queue of a device: of what has the same one, one thing is done at a time.

        Devices that share hardware which both would reset, as two functions of one slot do, have
        one queue, also where two drivers have them: ``pci/0000:42:00`` for those of a slot. Look
        at nothing that can block.

        :param device: its identity.
        """
        return device

    @abstractmethod
    def prepare(self, handle: Handle, group: Mapping[str, str]) -> None:
        """Make a handle ready for an instance; return when it is.

        Called only for deployables with ``needs_prepare``, before an instance gets the handle.

        :param group: the device profile's group; the ``accel:`` keys are the driver's.
        :raises DriverError: it is not ready. Undo what was done where that is possible.
            A :class:`DeviceAway` if its device is not there.
        """

    @abstractmethod
    def release(self, handle: Handle) -> None:
        """Undo ``prepare`` and remove every trace of the instance that had the handle.

        Called only for deployables with ``needs_release``. After it returns the handle is
        given to somebody else. A mediated device that is gone while its parent is there is a
        success: nothing of it is left.

        :raises DeviceAway: the device is not there, so nobody knows what it holds. When it is
            back this is called again, before anybody gets the handle.
        :raises DriverError: traces may be left; nobody gets the handle until this succeeds.
        """


class StepwiseDriver(Driver):
    """A driver whose releases consist of steps.

    :func:`clean_options` are the options by which an operator chooses them, and
    :func:`chosen_steps` are those that were chosen.
    """

    @abstractmethod
    def clean_steps(self, handle: Handle) -> Sequence[CleanStep]:
        """Return what a release of a handle consists of, in the order in which it is done.

        Called before the first step of each attempt; looks at nothing that can block.
        """

    @abstractmethod
    def clean(self, handle: Handle, step: str, progress: Progress) -> None:
        """Do one step of a release; after the last of them the handle is given to somebody else.

        What holds for ``release`` holds here. Between two steps the agent may have been killed,
        and the host booted: then the first step is done again. A step that finds its work half
        done goes on with it.

        :param step: its name.
        :param progress: where it is known, call it with how much of the step is done.
        :raises DriverError: this step, and those that follow, are done again.
            A :class:`DeviceAway` if its device is not there: then all are.
        """

    def release(self, handle: Handle) -> None:
        """Do all steps, in their order.

        :raises DriverError: one has failed, or there is none.
        """
        steps = self.clean_steps(handle)
        if not steps:
            raise DriverError(f"The driver {self.name} has no step that cleans this.")
        for step in steps:
            self.clean(handle, step.name, lambda _percent: None)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A handle that an instance is to get."""

    handle: Handle
    #: The device profile's group; the ``accel:`` keys are the driver's.
    group: Mapping[str, str]


class JointDriver(Driver):
    """A driver of cards that are made ready, or reset, together.

    A preparation gets all handles of one instance in one queue (``queue_of``) that are to be
    prepared now; a release all those of the queue that are to be released now, which includes all
    of one instance, and those of others that go at the same time. Both are told of all others of
    the queue that have an owner at that moment, be it the same instance or another; while the call
    lasts nobody gets one that ``needs_prepare``, so say that of each deployable. All handles end as
    the call ends.

    It is not a :class:`StepwiseDriver` too.
    """

    @abstractmethod
    def prepare_together(self, wanted: Sequence[Wanted], held: Sequence[Handle]) -> None:
        """Make handles ready for one instance; what holds for ``prepare`` holds here.

        :param held: what else of the queue somebody has.
        :raises DriverError: none of them is ready.
        """

    @abstractmethod
    def release_together(self, handles: Sequence[Handle], held: Sequence[Handle]) -> None:
        """Take handles back; what holds for ``release`` holds here.

        :param held: what else of the queue somebody has.
        :raises NotNow: it must be released first; they wait for it, however long.
        :raises DriverError: traces may be left on each of them.
        """

    def prepare(self, handle: Handle, group: Mapping[str, str]) -> None:
        """Make one handle ready that nothing else is held beside."""
        self.prepare_together([Wanted(handle, group)], ())

    def release(self, handle: Handle) -> None:
        """Take one handle back that nothing else is held beside."""
        self.release_together([handle], ())


@runtime_checkable
class Programmable(Protocol):
    """A driver whose devices can be programmed. It is optional: a driver has it or has it not."""

    def check(self, region: Region, bitstream: Bitstream) -> None:
        """Refuse a bitstream that is not for this region, as far as that can be seen.

        Called before ``program``, and touches nothing: what it refuses leaves the region as it
        is, and in use. The image's properties and the file may say what it is for.

        :raises DriverError: it is not.
        """

    def program(self, region: Region, bitstream: Bitstream) -> None:
        """Make a region hold a bitstream; return when it does.

        Called only for deployables with ``programmable``. Nobody else gets a handle of the
        deployable meanwhile; whoever has one has asked for this. Where the hardware can tell
        that it holds just this bitstream, that is a success at once. Report the image as
        ``bitstream_id`` from then on where that can be told, also after a restart.

        :raises DriverError: what the region holds is not known; nobody gets it until a
            ``program`` succeeds. A :class:`DeviceAway` if its device is not there.
        """
