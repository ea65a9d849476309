"""The API reference's examples are what the service answers, byte for byte.

One conversation has a success of every operation. ``make api-ref`` writes the files again.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import webob

import cyborg
from cyborg.api import microversions
from cyborg.conductor import finishing
from cyborg.conductor.environment import Environment
from cyborg.domain.clock import provider_uuid
from cyborg.domain.model import DeviceCondition, JobKind
from cyborg.domain.work import Work
from cyborg.tests.functional.in_process import Service
from cyborg.tests.helpers import deployable, device, handles, report

SOURCE = Path(cyborg.__file__).parents[1] / "api-ref" / "source"
SAMPLES = SOURCE / "samples"

VERSION = "OpenStack-API-Version"
NEWEST = microversions.text(microversions.MAXIMUM)
HOSTS = ("compute-1", "compute-2")
PROVIDERS = {host: provider_uuid(f"{host}_FakeDevice") for host in HOSTS}
INSTANCE = "c7c8e5f1-5c2a-4b8c-9f0b-6a3a5c2d7e11"

HEALTHY: dict[str, Any] = {"condition": DeviceCondition.HEALTHY}
AILING: dict[str, Any] = {
    "condition": DeviceCondition.DEGRADED,
    "condition_reason": "Its memory has had errors that could be corrected.",
}

#: Refused always, and far too long.
WITHOUT_SAMPLE = {"attributes-delete", "openapi.json-get", "deployables-uuid-program-segment-patch"}


class Reproducible:
    """The clock and the uuids: the same in each run, whatever other steps need of them."""

    def __init__(self) -> None:
        self._step = 0
        self._made = 0

    def next_step(self) -> None:
        self._step, self._made = self._step + 1, 0

    def clock(self) -> datetime.datetime:
        start = datetime.datetime(2026, 12, 1, 9, 0, 0, 271828, tzinfo=datetime.UTC)
        return start + datetime.timedelta(minutes=self._step)

    def new_uuid(self) -> str:
        self._made += 1
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"sample {self._step} {self._made}"))


class Prompt:
    """Agents that have programmed before the API looks."""

    env: Environment

    def start(self, host: str, work: Work) -> None:
        if work.kind is JobKind.PROGRAM:
            finishing.begin(self.env, host, work.job_uuid, work.generation, 0)
            finishing.finish(self.env, host, work.job_uuid, work.generation, None)


class Conversation:
    """Asks the service, and keeps what was said as files: name to text."""

    def __init__(self, service: Service, reproducible: Reproducible) -> None:
        self.service = service
        self.files: dict[str, str] = {}
        self._reproducible = reproducible
        self._document = service.ask("GET", "/v2/openapi.json").json

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        name: str | None = None,
        version: str = NEWEST,
        keep: bool = True,
    ) -> Any:
        """Ask, and return the answer's body.

        :param name: of the files; by default that of the operation, whose schemas then hold.
        """
        self._reproducible.next_step()
        asked = f"accelerator {version}"
        answer = self.service.ask(method, path, body, OpenStack_API_Version=asked)
        data = json.loads(answer.text) if answer.text else None
        if name is None:
            assert answer.status_int < 300, answer.text
            self._check(method, path, body, answer, data)
        if keep:
            head = [f"{method} {path}", "X-Auth-Token: TOKEN", f"{VERSION}: {asked}"]
            self._keep(name or slug(method, path), head, body, data)
        return data

    def _keep(self, name: str, head: Sequence[str], body: object, data: object) -> None:
        lines = list(head)
        if body is not None:
            lines.append("Content-Type: application/json")
            self._add(f"{name}-request.json", pretty(body))
        self._add(f"{name}-request.txt", "\n".join(lines) + "\n")
        if data is not None:
            self._add(f"{name}-response.json", pretty(data))

    def _add(self, name: str, text: str) -> None:
        assert name not in self.files, f"{name} is there twice"
        self.files[name] = text

    def _check(
        self, method: str, path: str, body: object, answer: webob.Response, data: object
    ) -> None:
        """Hold what was sent and answered against the declarations."""
        if path == "/":
            return
        template = "/" + "/".join(
            "{uuid}" if place == 1 else segment for place, segment in enumerate(segments(path))
        )
        described = self._document["paths"][template][method.lower()]
        response = described["responses"][str(answer.status_int)]
        if body is not None:
            self._validate(body, described["requestBody"]["content"])
        assert (data is None) == ("content" not in response)
        if data is not None:
            self._validate(data, response["content"])

    def _validate(self, data: object, content: Mapping[str, Any]) -> None:
        # References are to the document's components.
        components = {"components": self._document["components"]}
        schema = {**content["application/json"]["schema"], **components}
        jsonschema.validate(data, schema, jsonschema.Draft202012Validator)


def segments(path: str) -> list[str]:
    """Return the segments of a path after ``/v2``."""
    return [s for s in path.split("?", maxsplit=1)[0].removeprefix("/v2").split("/") if s]


def slug(method: str, path: str) -> str:
    """Return how tools/api_ref calls an operation."""
    parts = segments(path) or [path.strip("/") or "root"]
    parts[1:2] = ["uuid"] * len(parts[1:2])
    return "-".join([*parts, method.lower()])


def pretty(data: object) -> str:
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


@pytest.fixture
def conversation(env: Environment) -> Iterator[Conversation]:
    """A service with two devices, reachable by a public name."""
    reproducible = Reproducible()
    agents = Prompt()
    env = dataclasses.replace(
        env, clock=reproducible.clock, new_uuid=reproducible.new_uuid, agents=agents
    )
    agents.env = env
    env.conf.set_override("public_endpoint", "https://accelerator.example.org", "api")
    for host, how in zip(HOSTS, (HEALTHY, AILING), strict=True):
        reproducible.next_step()
        part = deployable(f"{host}_FakeDevice", 3, programmable=True, handles=handles(3))
        card = device(f"card of {host}", part, std_board_info={"product_id": "0xabcd"}, **how)
        report(env, card, host=host)
    service = Service(env)
    yield Conversation(service, reproducible)
    service.database.dispose()


def test_samples(conversation: Conversation, request: pytest.FixtureRequest) -> None:
    """Else: make api-ref."""
    about_versions(conversation)
    about_device_profiles(conversation)
    about_devices(conversation)
    about_attributes(conversation)
    about_accelerator_requests(conversation)
    about_ends(conversation)
    about_errors(conversation)
    about_programming(conversation)
    if request.config.getoption("--update-samples"):
        SAMPLES.mkdir(exist_ok=True)
        for old in SAMPLES.iterdir():
            old.unlink()
        for name, text in conversation.files.items():
            (SAMPLES / name).write_text(text)
    assert {f.name: f.read_text() for f in SAMPLES.iterdir()} == conversation.files


def test_every_operation_has_a_sample() -> None:
    described = {file.stem for file in (SOURCE / "operations").iterdir()}
    sampled = {file.name.removesuffix("-request.txt") for file in SAMPLES.glob("*-request.txt")}
    assert described - sampled <= WITHOUT_SAMPLE
    assert sampled - described == {
        *("root-get", "page-1", "page-2", "unbind", "delete-of-instance"),
        *("error", "error-2.3", "error-409"),
    }


def about_versions(talk: Conversation) -> None:
    talk.ask("GET", "/")
    talk.ask("GET", "/v2")


def about_device_profiles(talk: Conversation) -> None:
    groups = [
        {
            "resources:FPGA": "1",
            "trait:CUSTOM_FAKE_DEVICE": "required",
            "accel:comment": "any card will do",
        }
    ]
    one = [{"name": "one-fpga", "description": "An FPGA.", "groups": groups}]
    talk.ask("POST", "/v2/device_profiles", one)
    two = [{"name": "two-fpgas", "groups": [{"resources:FPGA": "2"}]}]
    talk.ask("POST", "/v2/device_profiles", two, keep=False)
    talk.ask("GET", "/v2/device_profiles?resource_class=FPGA")
    patch = [
        {"op": "replace", "path": "/description", "value": "An FPGA, any that is free."},
        {"op": "replace", "path": "/name", "value": "an-fpga"},
    ]
    talk.ask("PATCH", "/v2/device_profiles/one-fpga", patch)
    talk.ask("GET", "/v2/device_profiles/an-fpga")


def about_devices(talk: Conversation) -> None:
    devices = talk.ask("GET", "/v2/devices?hostname=compute-2&presence=present")["devices"]
    path = f"/v2/devices/{devices[0]['uuid']}"
    talk.ask("POST", f"{path}/disable")
    talk.ask("GET", path)
    talk.ask("POST", f"{path}/enable")
    page = talk.ask("GET", "/v2/devices?limit=1&sort=hostname:desc", name="page-1")
    following = page["devices_links"][0]["href"]
    talk.ask("GET", following.removeprefix("https://accelerator.example.org"), name="page-2")
    talk.ask("GET", f"/v2/deployables?rp_uuid={PROVIDERS['compute-2']}")


def about_attributes(talk: Conversation) -> None:
    of_deployable = PROVIDERS["compute-1"]
    body = {"deployable_uuid": of_deployable, "key": "rack", "value": "B12"}
    made = talk.ask("POST", "/v2/attributes", body)
    talk.ask("GET", f"/v2/attributes?deployable_uuid={of_deployable}")
    talk.ask("GET", f"/v2/attributes/{made['uuid']}")
    talk.ask("DELETE", f"/v2/attributes/{made['uuid']}")


def about_programming(talk: Conversation) -> None:
    image = {"image_uuid": "2b1d5a3c-8f4e-4c6d-9a7b-3e5f1c2d4b6a"}
    patch = [{"op": "replace", "path": "/program", "value": [image]}]
    talk.ask("PATCH", f"/v2/deployables/{PROVIDERS['compute-2']}/program", patch)


def about_accelerator_requests(talk: Conversation) -> None:
    path = "/v2/accelerator_requests"
    [first, second] = [
        arq["uuid"] for arq in talk.ask("POST", path, {"device_profile_name": "two-fpgas"})["arqs"]
    ]
    bind = bind_to("compute-1", "add")
    talk.ask("PATCH", path, {first: bind, second: bind})
    talk.ask("GET", f"{path}?instance={INSTANCE}")
    talk.ask("GET", f"{path}/{first}")
    talk.ask("GET", f"/v2/deployables/{PROVIDERS['compute-1']}")
    talk.ask("GET", f"/v2/deployables/{PROVIDERS['compute-1']}/attach_handles")
    third, fourth = one_more(talk), one_more(talk)
    too_many = {third: bind, fourth: bind}
    talk.ask("PATCH", path, too_many, name="error-409")
    unbind = [{"op": "remove", "path": f"/{name}"} for name in ("hostname", "instance_uuid")]
    talk.ask("PATCH", path, {second: unbind}, name="unbind")
    talk.ask("PATCH", f"{path}/{third}", {third: bind_to("compute-2", "add")})
    talk.ask("DELETE", f"{path}/{second}")
    talk.ask("DELETE", f"{path}?instance={INSTANCE}", name="delete-of-instance")
    talk.ask("DELETE", f"{path}?arqs={fourth},{one_more(talk)}")


def one_more(talk: Conversation) -> str:
    body = {"device_profile_name": "an-fpga"}
    [arq] = talk.ask("POST", "/v2/accelerator_requests", body, keep=False)["arqs"]
    return str(arq["uuid"])


def bind_to(host: str, op: str) -> list[dict[str, str]]:
    values = {
        "hostname": host,
        "device_rp_uuid": PROVIDERS[host],
        "instance_uuid": INSTANCE,
    }
    return [{"op": op, "path": f"/{key}", "value": value} for key, value in values.items()]


def about_ends(talk: Conversation) -> None:
    talk.ask("DELETE", "/v2/device_profiles?value=two-fpgas")
    talk.ask("DELETE", "/v2/device_profiles/an-fpga")


def about_errors(talk: Conversation) -> None:
    for version, name in (("2.3", "error-2.3"), (NEWEST, "error")):
        path = "/v2/device_profiles/no-such-profile"
        talk.ask("GET", path, name=name, version=version)
