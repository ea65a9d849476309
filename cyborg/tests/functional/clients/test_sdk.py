"""openstacksdk's accelerator proxy, method by method, in a process of its own."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cyborg.api import microversions
from cyborg.tests.functional.clients.harness import (
    Scripts,
    check_coverage,
    covered_by,
    covered_in,
    covers,
    credentials,
)
from cyborg.tests.functional.processes.cloud import HOSTS, Cloud, provider
from cyborg.tests.servers import GlanceStandIn

PROVIDER = provider(HOSTS[0])
BROKEN = {"update_deployable": "calls itself for ever"}

Sdk = Callable[..., Any]


@pytest.fixture(params=["2.3", microversions.text(microversions.MAXIMUM)])
def sdk(request: pytest.FixtureRequest, cloud: Cloud, scripts: Scripts) -> Iterator[Sdk]:
    """Call a function of the script as a user, on a microversion."""
    version = {"OS_ACCELERATOR_DEFAULT_MICROVERSION": request.param}

    def call(function: str, user: str = "admin", **values: Any) -> Any:
        environment = credentials(cloud.keystone, user) | version
        return scripts.call("sdk.py", function, values, environment)

    yield call
    assert covered_by(request.function) <= scripts.used


def test_every_method_is_covered(scripts: Scripts) -> None:
    has = scripts.call("sdk.py", "methods", {})
    check_coverage(has, covered_in(sys.modules[__name__]), BROKEN)


@covers("devices", "get_device", "enable_device", "disable_device", "wait_for_status")
def test_devices(sdk: Sdk) -> None:
    sdk("devices", hosts=list(HOSTS))


@covers("deployables", "get_deployable")
def test_deployables(sdk: Sdk) -> None:
    sdk("deployables", provider=PROVIDER, name=f"{HOSTS[0]}_FakeDevice")


@covers("patch_deployable")
def test_programming(images: GlanceStandIn, sdk: Sdk) -> None:
    shown = sdk("program", provider=PROVIDER, image=images.add(b"of the SDK", visibility="public"))
    assert (shown["id"], shown["name"]) == (PROVIDER, f"{HOSTS[0]}_FakeDevice")


@covers("attributes", "get_attribute", "create_attribute", "delete_attribute")
def test_attributes(sdk: Sdk) -> None:
    sdk("attributes", provider=PROVIDER)


@covers("device_profiles", "get_device_profile", "create_device_profile", "delete_device_profile")
def test_device_profiles(sdk: Sdk) -> None:
    sdk("device_profiles")


@covers(
    "accelerator_requests",
    "get_accelerator_request",
    "create_accelerator_request",
    "patch_accelerator_request",
    "update_accelerator_request",
    "delete_accelerator_request",
    "wait_for_delete",
)
def test_accelerator_requests(cloud: Cloud, sdk: Sdk) -> None:
    where = {"host": HOSTS[0], "provider": PROVIDER, "server": cloud.server(HOSTS[0])}
    sdk("accelerator_requests", "demo-manager", profile="one", **where)
    assert cloud.reserved() == 0


def test_what_errors_tell_the_user(cloud: Cloud, sdk: Sdk) -> None:
    sdk("what_errors_tell_an_administrator")
    sdk("what_errors_tell_a_member", "demo", instance=cloud.server(HOSTS[0]))


def test_pages(cloud: Cloud, sdk: Sdk) -> None:
    cloud.profile("sdk-pages")
    sdk("pages", profile="sdk-pages")
    assert cloud.as_user("admin").status("DELETE", "/v2/device_profiles/sdk-pages") == 204


def test_the_deprecated_way_to_program_is_broken_by_the_sdk(sdk: Sdk) -> None:
    """Should a newer SDK mend it, it is to be covered."""
    sdk("program_by_the_deprecated_name", provider=PROVIDER)
