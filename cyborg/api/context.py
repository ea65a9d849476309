"""Who asks: the request's context, as keystonemiddleware or its stand-in established it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from oslo_context import context as oslo_context
from oslo_middleware import request_id

from cyborg.rpc.context import forget

#: keystonemiddleware sets it only for a service token that it has validated itself.
_SERVICE_STATUS = "HTTP_X_SERVICE_IDENTITY_STATUS"

#: Left in the environ by the outermost of several scopes.
_IN_SCOPE = "cyborg.context_scope"


class ApiContext(oslo_context.RequestContext):
    """The caller, and whether a service asks on the caller's behalf."""

    def __init__(self, *, by_service: bool = False, **fields: Any) -> None:
        super().__init__(**fields)
        self.by_service = by_service

    @property
    def is_service(self) -> bool:
        """Whether the caller is a service, or a service asks for the caller."""
        return self.by_service or "service" in self.roles

    def credentials(self) -> dict[str, Any]:
        """Return what policy rules compare. A missing value is absent, and equals nothing."""
        values = {
            name: value for name, value in self.to_policy_values().items() if value is not None
        }
        return {**values, "service_token": self.by_service}


def from_environ(environ: dict[str, Any], service_token_roles: Collection[str]) -> ApiContext:
    """Return the context of an authenticated request, and make it this thread's."""
    context = ApiContext.from_environ(environ)
    context.by_service = environ.get(_SERVICE_STATUS) == "Confirmed" and not set(
        service_token_roles
    ).isdisjoint(context.service_roles)
    return context


class ContextScope:
    """Middleware: log lines carry the request's id from here on, and no longer than here."""

    def __init__(self, application: Any) -> None:
        self._application = application

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        outermost = _IN_SCOPE not in environ
        if outermost:
            environ[_IN_SCOPE] = True
            oslo_context.RequestContext(
                request_id=environ.get(request_id.ENV_REQUEST_ID),
                global_request_id=environ.get(request_id.GLOBAL_REQ_ID),
            )
        try:
            answer: Iterable[bytes] = self._application(environ, start_response)
            return answer
        finally:
            if outermost:
                forget()
