"""Whether the caller may: the one place where policy is asked, on the loaded object.

An accelerator request of another project that the caller may not read does not exist
(404); what exists and is not allowed is 403.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from oslo_config import cfg
from oslo_log import log
from oslo_policy import policy

from cyborg.api.context import ApiContext
from cyborg.domain.errors import ConfigurationError, Forbidden
from cyborg.domain.model import AcceleratorRequest
from cyborg.policies import accelerator_requests as arq_rules
from cyborg.policies import list_rules

LOG = log.getLogger(__name__)

#: No project has this id: who may read it may read any.
_ANY_PROJECT = "*"

#: What belongs to a project: without one nobody has any of it, whatever the policy says.
_OF_PROJECTS = frozenset(
    {arq_rules.GET_ALL, arq_rules.GET_ONE, arq_rules.CREATE, arq_rules.UPDATE, arq_rules.DELETE}
)

#: What these need by default; tempest looks for the words.
_NEED_SERVICE_TOKEN = frozenset({arq_rules.UPDATE, arq_rules.DELETE})


#: What oslo.policy raises over a file that it cannot read or understand.
_UNUSABLE = (OSError, ValueError, TypeError, AttributeError)


class _Enforcer(policy.Enforcer):
    """Goes on with the rules that it has while the file cannot be used."""

    _complaint: str | None = None

    def load_rules(self, force_reload: bool = False) -> None:
        """Read the file again if it has changed."""
        begun = bool(self.rules)
        try:
            super().load_rules(force_reload)
        except _UNUSABLE as error:
            if not begun:
                raise
            complaint = _reason(error)
            if complaint != self._complaint:
                LOG.error("policy file cannot be used, the old rules stay: %s", complaint)
            self._complaint = complaint


class Authorizer:
    """The policy: defaults, changed by the operator's file.

    :raises ConfigurationError: there is a file, but not one to go by.
    """

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._enforcer = _Enforcer(conf)
        self._enforcer.register_defaults(list_rules())
        _load(self._enforcer, conf)

    def require(
        self, context: ApiContext, action: str, arq: AcceleratorRequest | None = None
    ) -> None:
        """Check an action on an ARQ, or on what has no project.

        :raises Forbidden: the policy does not allow it.
        """
        target = own_target(context) if arq is None else arq_target(arq)
        self.require_target(context, action, target)

    def require_target(
        self, context: ApiContext, action: str, target: Mapping[str, object]
    ) -> None:
        """Check an action on an object that is described by its target.

        :raises Forbidden: the policy does not allow it.
        """
        if self.allows(context, action, target):
            return
        text = f"Policy does not allow {action} to be performed."
        if action in _NEED_SERVICE_TOKEN and not context.by_service:
            text += " Without an accelerator administrator's rights it requires a service token."
        raise Forbidden(text)

    def allows(self, context: ApiContext, action: str, target: Mapping[str, object]) -> bool:
        """Return whether the policy allows an action, and the token has what it needs."""
        if context.project_id is None and action in _OF_PROJECTS:
            return False
        return bool(self._enforcer.authorize(action, dict(target), context.credentials()))

    def sees(self, context: ApiContext, arq: AcceleratorRequest) -> bool:
        """Return whether the ARQ exists for the caller: it is theirs, or they may read it."""
        if arq.project_id is not None and arq.project_id == context.project_id:
            return True
        return self.allows(context, arq_rules.GET_ONE, arq_target(arq))

    def sees_project(self, context: ApiContext, project_id: str | None) -> bool:
        """Return whether the caller may read the ARQs of a project."""
        return self.allows(context, arq_rules.GET_ALL, {"project_id": project_id})

    def sees_every_project(self, context: ApiContext) -> bool:
        """Return whether the caller may list the ARQs of any project."""
        return self.sees_project(context, _ANY_PROJECT)


def _load(enforcer: policy.Enforcer, conf: cfg.ConfigOpts) -> None:
    # Now, and not at the first request. oslo.policy itself goes on without a file that it
    # may not read, and fails in several ways over one that it does not understand.
    path = conf.find_file(conf.oslo_policy.policy_file)
    try:
        if path:
            Path(path).read_text(encoding="utf-8")
        enforcer.load_rules()
    except _UNUSABLE as error:
        raise ConfigurationError(f"policy file {path} cannot be used: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def arq_target(arq: AcceleratorRequest) -> dict[str, object]:
    """Return what rules may ask of an ARQ."""
    return {
        "project_id": arq.project_id,
        "bound": arq.instance_uuid is not None,
        "bound_by_service": arq.bound_by_service,
    }


def own_target(context: ApiContext) -> dict[str, object]:
    """Return the target of what has no project of its own: the caller's."""
    return {"project_id": context.project_id}
