"""Calling drivers: whatever they raise becomes a reason in one line."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from oslo_log import log

from cyborg.domain.model import JobKind
from cyborg.drivers.base import Bitstream, Driver, DriverError, Handle, Programmable, Region
from cyborg.rpc.agent import Work

LOG = log.getLogger(__name__)


def prepare_or_release(driver: Driver, work: Work) -> str | None:
    """Do it; return None, or why it failed."""
    handle = Handle(
        uuid=work.handle_uuid,
        device=work.device,
        deployable=work.deployable,
        type=work.handle_type,
        info=work.handle_info,
    )
    if work.kind is JobKind.PREPARE:
        return _called(work, lambda: driver.prepare(handle, work.group))
    return _called(work, lambda: driver.release(handle))


def check(driver: Driver, work: Work, bitstream: Bitstream) -> str | None:
    """Return why a driver does not take a bitstream, None if it does. Touches nothing."""
    if not isinstance(driver, Programmable):
        return f"The driver {work.driver} cannot program."
    return _called(work, lambda: driver.check(region_of(work), bitstream))


def program(driver: Driver, work: Work, bitstream: Bitstream) -> str | None:
    """Do it; return None, or why it failed."""
    if not isinstance(driver, Programmable):
        return f"The driver {work.driver} cannot program."
    return _called(work, lambda: driver.program(region_of(work), bitstream))


def region_of(work: Work) -> Region:
    """Return what a piece of work programs."""
    return Region(work.device, work.deployable, work.control_path)


def described(work: Work) -> str:
    """Return what the log says of a piece of work."""
    about: Mapping[str, str | None] = {"handle": work.handle_uuid}
    if work.kind is JobKind.PROGRAM:
        about = {"deployable": work.deployable, "image": work.image_uuid}
    return (
        f"job={work.job_uuid} generation={work.generation} kind={work.kind} "
        f"device={work.device} " + " ".join(f"{name}={value}" for name, value in about.items())
    )


def _called(work: Work, call: Callable[[], None]) -> str | None:
    try:
        call()
    except DriverError as error:
        LOG.warning("work failed %s reason=%s", described(work), error)
        return str(error)
    except Exception as error:  # a driver may raise anything
        LOG.exception("driver has a bug %s", described(work))
        return f"The driver {work.driver} failed: {type(error).__name__}: {error}"[:1000]
    return None
