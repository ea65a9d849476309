"""Nova's client of this service, with the context and the configuration that Nova gives it."""

from __future__ import annotations

from typing import Any

import webob
from keystonemiddleware import auth_token
from nova import config, exception, objects
from nova.accelerator import cyborg
from nova.api.auth import NovaKeystoneContext
from nova.conf import CONF
from nova.context import RequestContext

#: The methods of the client that were called.
USED: set[str] = set()

UNKNOWN = "00000000-0000-4000-8000-000000000000"


class Recorded:
    """The client, which notes what is called."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        USED.add(name)
        return getattr(self._client, name)


class Nova:
    """What nova-api and nova-compute see of one request of a user."""

    def __init__(self, config_file: str, token: str) -> None:
        arguments = ["nova", "--config-file", config_file]
        config.parse_args(arguments, default_config_files=[], configure_db=False, init_rpc=False)
        objects.register_all()
        self.context = _context_of(token)

    @property
    def api(self) -> Any:
        """The client in nova-api, which has the user's token from the middleware."""
        return Recorded(cyborg.get_client(self.context))

    @property
    def compute(self) -> Any:
        """The client in nova-conductor and nova-compute, where the context came by RPC."""
        context = RequestContext.from_dict(self.context.to_dict())
        assert context.user_auth_plugin is None
        return Recorded(cyborg.get_client(context))


def _context_of(token: str) -> RequestContext:
    """Return the context that nova-api makes of a request with a token."""
    contexts = []

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        contexts.append(environ["nova.context"])
        start_response("204 No Content", [])
        return []

    pipeline = auth_token.AuthProtocol(
        NovaKeystoneContext(application), {"oslo_config_config": CONF}
    )
    request = webob.Request.blank("/v2.1/servers", headers={"X-Auth-Token": token})
    answer = request.get_response(pipeline)
    assert answer.status_int == 204, answer
    [context] = contexts
    return context


def methods() -> list[str]:
    """Return the names of the client's public methods."""
    return [
        name
        for name, value in vars(cyborg._CyborgClient).items()
        if callable(value) and not name.startswith("_")
    ]


def _raised(kind: type[Exception], call: Any, *values: Any) -> Exception:
    try:
        call(*values)
    except kind as error:
        return error
    raise AssertionError(f"{call} raised nothing")


def _bindings(arqs: list[dict[str, Any]], host: str, server: str) -> dict[str, Any]:
    """Return what nova-conductor binds ARQs with."""
    return {
        arq["uuid"]: {
            "hostname": host,
            "device_rp_uuid": arq["device_rp_uuid"],
            "instance_uuid": server,
        }
        for arq in arqs
    }


def boot(
    *, config_file: str, token: str, profile: str, server: str, host: str, provider: str
) -> list[dict[str, Any]]:
    """Do what Nova does at a boot; return the ARQs as it reads them at the end."""
    nova = Nova(config_file, token)
    groups = nova.api.get_device_profile_groups(profile)
    assert cyborg.get_device_amount_of_dp_groups(groups) == 2
    [wanted] = nova.api.get_device_request_groups(groups, owner=None)
    assert (wanted.requester_id, wanted.resources) == ("device_profile_0", {"FPGA": 2})
    assert wanted.required_traits == {"CUSTOM_FAKE_DEVICE"}
    matched = {wanted.requester_id: [provider]}
    arqs = nova.compute.create_arqs_and_match_resource_providers(profile, matched)
    assert [arq["device_rp_uuid"] for arq in arqs] == [provider, provider]
    assert nova.compute.get_arq_device_rp_uuid(arqs[0], matched, owner=None) == provider
    nova.compute.bind_arqs(_bindings(arqs, host, server))
    uuids = sorted(arq["uuid"] for arq in arqs)
    instance = objects.Instance(uuid=server)
    assert sorted(nova.compute.get_arq_uuids_for_instance(instance)) == uuids
    resolved = nova.compute.get_arqs_for_instance(server, only_resolved=True)
    assert sorted(arq["uuid"] for arq in resolved) == uuids
    for arq in resolved:
        assert nova.compute.get_arq_by_uuid(arq["uuid"]) == arq
    return list(resolved)


def delete(config_file: str, token: str, server: str) -> None:
    """Do what Nova does when a server goes; twice, as after a failure."""
    compute = Nova(config_file, token).compute
    compute.delete_arqs_for_instance(server)
    compute.delete_arqs_for_instance(server)
    error = _raised(exception.AcceleratorRequestOpFailed, compute.get_arqs_for_instance, server)
    assert "no accelerator requests" in str(error), error


def give_up(config_file: str, token: str, profile: str) -> list[str]:
    """Delete ARQs by uuid as after a failed boot, one of them missing; return the others."""
    compute = Nova(config_file, token).compute
    uuids = [arq["uuid"] for arq in compute.create_arqs(profile)]
    compute.delete_arqs_by_uuid([uuids[0], UNKNOWN, *uuids[1:]])
    return uuids


def fail(config_file: str, token: str, profile: str, server: str, host: str) -> str:
    """Ask for what there is not; return what is told of the bind that is refused."""
    compute = Nova(config_file, token).compute
    error = _raised(
        exception.DeviceProfileError, compute.get_device_profile_groups, "no-such-profile"
    )
    assert "Expected 1 device profile but got nothing" in str(error), error
    _raised(exception.AcceleratorRequestOpFailed, compute.create_arqs, "no-such-profile")
    _raised(exception.AcceleratorRequestOpFailed, compute.get_arq_by_uuid, UNKNOWN)
    arqs = compute.create_arqs(profile)
    for arq in arqs:
        arq["device_rp_uuid"] = UNKNOWN
    refused = _raised(
        exception.AcceleratorRequestBindingFailed,
        compute.bind_arqs,
        _bindings(arqs, host, server),
    )
    compute.delete_arqs_by_uuid([arq["uuid"] for arq in arqs])
    return str(refused)


def bind_without_a_service_token(
    *, config_file: str, token: str, arqs: list[str], server: str, host: str, provider: str
) -> str:
    """Bind with a configuration that sends the user's token only; return what is told."""
    nova = Nova(config_file, token)
    made = [{"uuid": uuid, "device_rp_uuid": provider} for uuid in arqs]
    refused = _raised(
        exception.AcceleratorRequestBindingFailed,
        nova.compute.bind_arqs,
        _bindings(made, host, server),
    )
    return str(refused)
