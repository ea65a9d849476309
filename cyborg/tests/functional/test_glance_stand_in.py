"""The stand-in for Glance: that it answers as Glance 33 was seen to."""

from __future__ import annotations

import hashlib
from uuid import uuid4

import pytest
import requests

from cyborg.tests.servers import GlanceStandIn, Keystone

DATA = b"bitstream" * 50_000
MEMBERS = "/v2/images/{}/members/{}"


def get(glance: GlanceStandIn, path: str, token: str | None = None) -> requests.Response:
    return requests.get(glance.url + path, headers={"X-Auth-Token": token or "any"}, timeout=30)


def test_it_tells_its_version_to_everybody(keystone_glance: GlanceStandIn) -> None:
    answer = requests.get(keystone_glance.url + "/", timeout=30)
    [version] = answer.json()["versions"]
    assert (answer.status_code, version["status"]) == (300, "CURRENT")
    assert version["links"] == [{"rel": "self", "href": f"{keystone_glance.url}/v2/"}]


def test_an_image(glance: GlanceStandIn) -> None:
    uuid = glance.add(DATA, "1" * 32, properties={"vendor": "0xABCD"})
    image = get(glance, f"/v2/images/{uuid}").json()
    assert (image["id"], image["owner"], image["vendor"]) == (uuid, "1" * 32, "0xABCD")
    assert (image["status"], image["visibility"], image["size"]) == ("active", "private", len(DATA))
    assert (image["os_hash_algo"], image["file"]) == ("sha512", f"/v2/images/{uuid}/file")
    assert image["os_hash_value"] == hashlib.sha512(DATA).hexdigest()
    assert get(glance, image["file"]).content == DATA


@pytest.mark.parametrize(("status", "code"), [("queued", 204), ("saving", 204)])
def test_an_image_without_data(glance: GlanceStandIn, status: str, code: int) -> None:
    uuid = glance.add(b"", status=status)
    image = get(glance, f"/v2/images/{uuid}").json()
    assert [image[name] for name in ("size", "checksum", "os_hash_value")] == [None] * 3
    assert get(glance, f"/v2/images/{uuid}/file").status_code == code


def test_what_is_not_there(glance: GlanceStandIn) -> None:
    uuid = glance.add(DATA)
    for path in (f"/v2/images/{uuid4()}", f"/v2/images/{uuid4()}/file", "/v2/nothing"):
        answer = get(glance, path)
        assert (answer.status_code, answer.headers["content-type"][:9]) == (404, "text/html")
    assert get(glance, MEMBERS.format(uuid, "2" * 32)).status_code == 404


def test_a_connection_that_ends_in_the_middle(glance: GlanceStandIn) -> None:
    uuid = glance.add(DATA, breaks=1)
    with pytest.raises(requests.RequestException):
        get(glance, f"/v2/images/{uuid}/file")
    assert get(glance, f"/v2/images/{uuid}/file").content == DATA
    assert glance.downloads(uuid) == 2


def test_who_sees_what(keystone: Keystone, keystone_glance: GlanceStandIn) -> None:
    glance = keystone_glance
    demo, other = keystone.project_id("demo"), keystone.project_id("other")
    tokens = {user: keystone.token(user) for user in ("cyborg", "demo", "other")}
    images = {
        "private": glance.add(DATA, demo),
        "shared": glance.add(DATA, demo, visibility="shared", members={other: "pending"}),
        "community": glance.add(DATA, demo, visibility="community"),
    }
    seen = {
        user: [
            name
            for name, uuid in images.items()
            if get(glance, f"/v2/images/{uuid}", token).status_code == 200
        ]
        for user, token in tokens.items()
    }
    everything = list(images)
    assert seen == {"cyborg": everything, "demo": everything, "other": ["shared", "community"]}
    member = get(glance, MEMBERS.format(images["shared"], other), tokens["cyborg"]).json()
    assert (member["member_id"], member["status"]) == (other, "pending")
    off = glance.add(DATA, demo, status="deactivated")
    codes = [get(glance, f"/v2/images/{off}/file", tokens[user]).status_code for user in tokens]
    assert codes == [200, 403, 404]
    assert get(glance, f"/v2/images/{off}", "no-token").status_code == 401
