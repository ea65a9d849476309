"""K16: each group of a device profile asks for resources."""

from __future__ import annotations

import pytest

from cyborg.conductor import catalogue
from cyborg.conductor.environment import Environment
from cyborg.db.tables import device_profiles
from cyborg.domain.errors import InvalidInput
from cyborg.tests.functional.conductor.harness import rows

UUID = "aaaaaaaa-1111-2222-3333-444444444444"
ASKING = {"resources:FPGA": "1"}


def create(env: Environment, *groups: object) -> None:
    catalogue.create_device_profile(
        env, name="one", groups=list(groups), description=None, uuid=None
    )


def refused(env: Environment, position: int, *groups: object) -> None:
    with pytest.raises(InvalidInput, match=f"^Group {position}[: ]"):
        create(env, *groups)
    assert rows(env, device_profiles) == []


def test_g01_a_group_of_a_trait_alone(env: Environment) -> None:
    refused(env, 0, {"trait:CUSTOM_GPU_NVIDIA": "required"})


def test_g01_a_group_of_a_bitstream_alone(env: Environment) -> None:
    refused(env, 0, {"accel:bitstream_id": UUID})


def test_g01_one_of_two_groups_has_only_a_trait(env: Environment) -> None:
    refused(env, 1, ASKING, {"trait:CUSTOM_GPU_NVIDIA": "required"})


def test_k16_own_a_profile_is_changed_so_that_it_asks_for_nothing(env: Environment) -> None:
    """Found with PATCH: what is refused when a profile is made must not come in later."""
    create(env, ASKING)
    [before] = rows(env, device_profiles)
    with pytest.raises(InvalidInput, match=r"^Group 1[: ]"):
        groups = [ASKING, {"accel:function_id": "crypto"}]
        catalogue.update_device_profile(env, before.uuid, {"groups": groups})
    assert rows(env, device_profiles) == [before]


def test_k16_own_none_of_a_class(env: Environment) -> None:
    """Found with Placement's query, in which an amount of 0 is refused."""
    refused(env, 0, {"resources:FPGA": "0"})
    refused(env, 1, ASKING, {"resources:FPGA": 0, "trait:CUSTOM_A": "required"})
