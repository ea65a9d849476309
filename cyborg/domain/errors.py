"""Every error that a caller can cause or must be told about.

One base class knows the HTTP status and the stable code, so that translation
happens in one place. A ``code`` never changes its meaning and is never reused.
"""

from __future__ import annotations


class CyborgError(Exception):
    """Base of all errors. ``str(error)`` is shown to the caller unless the status is 500."""

    code = "cyborg.internal"
    http_status = 500

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class ConfigurationError(CyborgError):
    """A process cannot start as it is configured; the text is the one line to show."""

    code = "cyborg.configuration"


class InvalidInput(CyborgError):
    code = "cyborg.invalid_input"
    http_status = 400


class Forbidden(CyborgError):
    code = "cyborg.forbidden"
    http_status = 403


class NotFound(CyborgError):
    code = "cyborg.not_found"
    http_status = 404


class DeviceNotFound(NotFound):
    code = "cyborg.device.not_found"


class DeployableNotFound(NotFound):
    code = "cyborg.deployable.not_found"


class AttributeNotFound(NotFound):
    code = "cyborg.attribute.not_found"


class DeviceProfileNotFound(NotFound):
    code = "cyborg.device_profile.not_found"


class AcceleratorRequestNotFound(NotFound):
    code = "cyborg.arq.not_found"


class ProviderNotFound(NotFound):
    """No deployable has the resource provider that a bind names."""

    code = "cyborg.arq.provider_not_found"


class NotAcceptable(CyborgError):
    code = "cyborg.not_acceptable"
    http_status = 406


class Conflict(CyborgError):
    code = "cyborg.conflict"
    http_status = 409


class DeviceProfileExists(Conflict):
    code = "cyborg.device_profile.exists"


class DeviceProfileInUse(Conflict):
    code = "cyborg.device_profile.in_use"


class DeployableInUse(Conflict):
    """An accelerator request of another project holds a handle of the deployable."""

    code = "cyborg.deployable.in_use"


class DeployableBusy(Conflict):
    """Work is under way on the deployable; when it has ended, it may be tried again."""

    code = "cyborg.deployable.busy"


class NotProgrammable(Conflict):
    """The deployable's driver, or what it drives, cannot be programmed."""

    code = "cyborg.deployable.not_programmable"


class DeployableMissing(Conflict):
    """The deployable's device is missing."""

    code = "cyborg.deployable.missing"


class NotProgrammed(Conflict):
    """A programming failed before it touched the device, which is as it was."""

    code = "cyborg.deployable.not_programmed"


class ProgrammingFailed(CyborgError):
    """A programming failed half way: what the deployable holds is not known."""

    code = "cyborg.deployable.programming_failed"
    http_status = 502


class AttributeExists(Conflict):
    code = "cyborg.attribute.exists"


class AttributeReported(Conflict):
    """A driver reports the attribute; deleting it would make the record wrong."""

    code = "cyborg.attribute.reported"


class NoFreeHandle(Conflict):
    code = "cyborg.arq.no_free_handle"


class WrongHost(Conflict):
    code = "cyborg.arq.wrong_host"


class DeviceNotAvailable(Conflict):
    """The device is disabled, missing, being programmed, or cannot do what the group asks for."""

    code = "cyborg.arq.device_not_available"


class AcceleratorRequestStateConflict(Conflict):
    """The ARQ's state, or the instance that holds it, does not allow the change."""

    code = "cyborg.arq.state_conflict"


class NotResolvedYet(CyborgError):
    """An ARQ of the instance is neither Bound, BindFailed nor Deleting."""

    code = "cyborg.arq.not_resolved"
    http_status = 423


class ReportRefused(InvalidInput):
    """An agent's report is absurd; what was recorded before is kept."""

    code = "cyborg.inventory.report_refused"


class HostTaken(Conflict):
    """An agent reports for a host of which another machine's agent was heard a moment ago."""

    code = "cyborg.inventory.host_taken"


class ServiceUnavailable(CyborgError):
    """The database or the message queue is not there now. Worth trying again."""

    code = "cyborg.unavailable"
    http_status = 503


class TooLate(CyborgError):
    """Nobody waits for the answer any more, so nothing was done. Worth trying again."""

    code = "cyborg.too_late"
    http_status = 503


class ReleaseMismatch(CyborgError):
    """Processes of two releases run, and one does not know what the other asks of it.

    Worth trying again when the upgrade is over.
    """

    code = "cyborg.release_mismatch"
    http_status = 503


class RemoteError(CyborgError):
    """The conductor answered with an error; carries its code and status unchanged."""

    def __init__(self, detail: str, code: str, http_status: int) -> None:
        super().__init__(detail)
        self.code = code
        self.http_status = http_status
