"""Wrong credentials are an error in the log soon after the start, before they are needed."""

from __future__ import annotations

import time
from typing import Any

import pytest

from cyborg.tests.functional.processes.cloud import HOSTS, Cloud
from cyborg.tests.functional.processes.harness import Process, wait_for
from cyborg.tests.servers import GlanceStandIn
from cyborg.tests.servers.keystone import REGION

#: Seconds after the start in which it must be said.
PROMISED = 60

WRONG = "credentials are wrong section=[{}]"


def said(process: Process, section: str, seconds: float = PROMISED) -> str:
    """Return the one line about a section's credentials."""
    wait_for(f"a line about {section}", lambda: f"section=[{section}]" in process.text(), seconds)
    [line] = [line for line in process.text().splitlines() if f"section=[{section}]" in line]
    return line


def start(cloud: Cloud, section: str, values: dict[str, Any]) -> Process:
    ours = {**cloud.keystone.credentials("cyborg"), "region_name": REGION}
    groups = {section: {**ours, **values}}
    if section == "glance":
        return cloud.ours.agent(HOSTS[0], **groups)
    if section == "keystone_authtoken":
        del groups[section]["region_name"]
        return cloud.ours.http(**groups)
    return cloud.ours.conductor("conductor-1", **groups)


@pytest.mark.parametrize("section", ["placement", "nova", "glance", "keystone_authtoken"])
def test_each_process_says_it(cloud: Cloud, keystone_glance: GlanceStandIn, section: str) -> None:
    began = time.monotonic()
    wrong = start(cloud, section, {"password": "another"})
    line = said(wrong, section)
    assert time.monotonic() - began < PROMISED
    assert " ERROR " in line
    assert WRONG.format(section) in line
    assert "401" in line
    assert "another" not in line
    assert wrong.alive()
    wrong.end(9)
    wrong.log.unlink()
    right = start(cloud, section, {})
    line = said(right, section)
    assert " INFO " in line
    assert "credentials are right" in line


def test_no_right_and_no_endpoint_are_wrong_and_no_answer_is_not(cloud: Cloud) -> None:
    demo = cloud.keystone.credentials("demo")
    process = cloud.ours.conductor(
        "conductor-1",
        placement={**demo, "region_name": REGION},
        nova={**cloud.keystone.credentials("cyborg"), "region_name": "nowhere"},
    )
    assert "403" in said(process, "placement")
    assert " ERROR " in said(process, "placement")
    line = said(process, "nova")
    assert " ERROR " in line
    assert "endpoint" in line
    process.end(9)
    process.log.unlink()
    away = {**cloud.keystone.credentials("cyborg"), "auth_url": "http://127.0.0.1:1/v3"}
    process = cloud.ours.conductor("conductor-1", nova=away)
    line = said(process, "nova")
    assert " WARNING " in line
    assert "credentials not tried yet" in line
