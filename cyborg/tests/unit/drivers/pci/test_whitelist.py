"""``[pci] passthrough_whitelist``, read as Nova reads it."""

from __future__ import annotations

import json

import pytest

from cyborg.drivers.contract import ConfigurationError
from cyborg.drivers.pci.whitelist import Entry, ignored_keys, parse


def entry(**keys: object) -> Entry:
    (found,) = parse([json.dumps(keys)])
    return found


class TestAddresses:
    @pytest.mark.parametrize(
        ("pattern", "matching", "others"),
        [
            ("0000:0a:00.1", ["0000:0a:00.1"], ["0000:0a:00.0", "0001:0a:00.1"]),
            ("*:0a:00.*", ["0000:0a:00.1", "10001:0a:00.7"], ["0000:0b:00.1"]),
            ("0A:00.1", ["0000:0a:00.1", "0001:0a:00.1"], ["0000:0a:01.1"]),
            (":00.", ["0000:0a:00.3"], ["0000:0a:01.3"]),
            ("1:a:0.1", ["0001:0a:00.1"], ["0000:0a:00.1"]),
            ({"domain": ".*", "bus": "02", "slot": "01", "function": "[2-7]"},
             ["0000:02:01.2", "0003:02:01.7"], ["0000:02:01.1", "0000:02:02.2"]),
            # As Nova has it: from the first character on, and not to the last.
            ({"bus": "0"}, ["0000:0a:00.0"], ["0000:a0:00.0"]),
            ({}, ["0000:0a:00.0"], []),
        ],
    )  # fmt: skip
    def test_what_they_mean(self, pattern: object, matching: list[str], others: list[str]) -> None:
        address = entry(address=pattern).address
        assert address is not None
        assert [each for each in matching if not address.matches(each)] == []
        assert [each for each in others if address.matches(each)] == []

    @pytest.mark.parametrize(
        "pattern",
        [
            "0000:0a:00.8",
            "0000:0a:20.0",
            "0000:100:00.0",
            "100000000:0a:00.0",
            "0:0:0:0.0",
            "0a:xx.0",
            "0000:0a:00.[0-3]",
            {"bus": "("},
            {"bus": 3},
            {"device": "00"},
        ],
    )
    def test_impossible_ones(self, pattern: object) -> None:
        with pytest.raises(ConfigurationError, match="entry 1: address"):
            entry(address=pattern)

    def test_one_address_is_known_as_one(self) -> None:
        assert entry(address="0:A:0.1").address is not None
        exact = entry(address="0:A:0.1").address
        assert exact is not None and exact.exact == "0000:0a:00.1"
        anyone = entry(address="0a:00.1").address
        assert anyone is not None and anyone.exact is None


class TestEntries:
    def test_defaults(self) -> None:
        found = entry(vendor_id="10DE")
        assert found.vendor_id == "10de"
        assert found.product_id is None
        assert found.resource_class == "CUSTOM_PCI"
        assert (found.traits, found.no_reset, found.keeps_data) == ((), False, False)

    @pytest.mark.parametrize(("text", "value"), [("*", None), ("0x1B", "001b"), ("1b", "001b")])
    def test_ids(self, text: str, value: str | None) -> None:
        assert entry(vendor_id="8086", product_id=text).product_id == value

    def test_a_list_counts_on(self) -> None:
        texts = ['[{"vendor_id": "8086"}, {"vendor_id": "10de"}]', '{"vendor_id": "1002"}']
        assert [(each.number, each.vendor_id) for each in parse(texts)] == [
            (1, "8086"),
            (2, "10de"),
            (3, "1002"),
        ]

    def test_keys_of_novas_mean_nothing(self) -> None:
        texts = [
            json.dumps({"vendor_id": "8086", "physical_network": None, "trusted": "true"}),
            json.dumps({"vendor_id": "10de", "managed": "no", "trusted": "true"}),
        ]
        assert ignored_keys(parse(texts)) == {
            "physical_network": [1],
            "trusted": [1, 2],
            "managed": [2],
        }

    def test_a_standard_class_and_trait(self) -> None:
        found = entry(vendor_id="10de", resource_class="PGPU", traits=["HW_GPU_API_VULKAN"])
        assert (found.resource_class, found.traits) == ("PGPU", ("HW_GPU_API_VULKAN",))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no JSON"),
        ("{'vendor_id': '8086'}", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ('"8086"', "is not of type 'object'"),
        ("[3]", "is not of type 'object'"),
        ('{"vendor": "8086"}', "'vendor' was unexpected"),
        ('{"vendor_id": "80861"}', "vendor_id"),
        ('{"vendor_id": 8086}', "vendor_id"),
        ('{"vendor_id": "8086", "devname": "eth0", "address": "*:0a:00.0"}', "give one of them"),
        ('{"devname": "a/b"}', "devname"),
        ('{"vendor_id": "8086", "resource_class": "custom_pci"}', "no resource class"),
        ('{"vendor_id": "8086", "resource_class": "PCI"}', "no resource class"),
        ('{"vendor_id": "8086", "traits": "CUSTOM_A"}', "traits"),
        ('{"vendor_id": "8086", "traits": ["HW_NOTHING_SUCH"]}', "no trait"),
        ('{"vendor_id": "8086", "no_reset": true}', "no_reset"),
        ('{"vendor_id": "8086", "keeps_data": "yes"}', "keeps_data"),
    ],
)
def test_what_is_wrong_is_one_line(text: str, why: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse(['{"vendor_id": "10de"}', text])
    said = str(caught.value)
    assert said.startswith("[pci] passthrough_whitelist, entry 2: ")
    assert why in said
    assert len(said.splitlines()) == 1
    assert len(said) <= 400
