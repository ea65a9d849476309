"""cyborg-tempest-plugin as it is, run by tempest with users that it makes itself in Keystone."""

from __future__ import annotations

from pathlib import Path

import pytest

from cyborg.tests.functional.clients.harness import Scripts, run
from cyborg.tests.functional.processes.cloud import Cloud
from cyborg.tests.servers.installed import OpenStackClients
from cyborg.tests.servers.keystone import PASSWORD, REGION

PLUGIN = "cyborg_tempest_plugin.tests"
API = f"{PLUGIN}.api."
#: How many API tests the plugin has: none gets lost.
API_TESTS = 42

_NEGATIVE = (
    f"{API}test_device_profile_negative.DeviceProfileNegativeTest.test_create_device_profile"
)
#: Each of these demands a 500 for a caller's mistake, and gets what fits it.
DEMAND_A_500 = {
    f"{_NEGATIVE}_name_is_null": "exceptions.BadRequest",
    f"{_NEGATIVE}_name_to_long": "exceptions.BadRequest",
    f"{_NEGATIVE}_server_fault": "exceptions.Conflict",  # a uuid that is taken
}

_SCENARIO = f"{PLUGIN}.scenario"
#: All scenarios boot a server first, which needs a real Nova: see "make test-nova".
NEED_NOVA = {
    f"{_SCENARIO}.test_accelerator_basic_ops.TestServerBasicOps.test_server_basic_ops": (
        "the compute service is not available"
    ),
    f"{_SCENARIO}.test_arq_service_token_ops.TestARQServiceTokenOps"
    ".test_delete_bound_arq_by_instance_uuid": "the compute service is not available",
    f"setUpClass ({_SCENARIO}.test_pci_driver_lifecycle.TestPCIDriverLifecycle)": (
        "test requires cyborg_pci.device_profile_name"
    ),
}

#: ``tempest_roles`` is what every user gets beside its own roles: a plain member may not ask
#: for accelerators directly here. The personas are those of the policy's defaults.
SETTINGS = """
[DEFAULT]
log_dir = {home}
log_file = tempest.log
[oslo_concurrency]
lock_path = {home}/locks
[auth]
use_dynamic_credentials = true
create_isolated_networks = false
admin_username = admin
admin_password = {password}
admin_project_name = admin
admin_domain_name = Default
tempest_roles = accelerator_user
[identity]
auth_version = v3
uri_v3 = {keystone}
region = {region}
[service_available]
cinder = false
glance = false
neutron = false
nova = false
swift = false
[cyborg_policy]
enforce_new_defaults = true
"""

#: Most of it is Keystone's, which makes and removes 84 users: 25 s when nothing else runs.
PATIENCE = 400
pytestmark = pytest.mark.timeout(500)

Results = dict[str, dict[str, str]]


@pytest.fixture(scope="module")
def results(
    openstack_clients: type[OpenStackClients],
    cloud: Cloud,
    tmp_path_factory: pytest.TempPathFactory,
) -> Results:
    """What each of the plugin's tests has come to."""
    home = tmp_path_factory.mktemp("tempest")
    settings = SETTINGS.format(
        home=home, password=PASSWORD, keystone=cloud.keystone.url, region=REGION
    )
    (home / "tempest.conf").write_text(settings)
    # Tempest would look at its own tests as well, which takes long.
    tempest = Path(openstack_clients.binary("tempest"))
    [packages] = tempest.parents[1].glob("lib/python*/site-packages")
    tests = packages / "cyborg_tempest_plugin" / "tests"
    (home / ".stestr.conf").write_text(f"[DEFAULT]\ntest_path={tests}\ntop_dir={packages}\n")
    arguments = ("run", "--config-file", "tempest.conf", "--serial")
    done = run(str(tempest), *arguments, home=home, patience=PATIENCE)
    scripts = Scripts(openstack_clients.binary("python"), home)
    stestr = openstack_clients.binary("stestr")
    results: Results = scripts.call("tempest_results.py", "last", {"stestr": stestr})
    assert results, done.stdout + done.stderr
    return results


def having(results: Results, status: str) -> set[str]:
    """Return the tests that have come to this."""
    return {name for name, result in results.items() if result["status"] == status}


def test_all_have_run(results: Results) -> None:
    assert having(results, "success") | having(results, "fail") | having(results, "skip") == set(
        results
    )
    assert len([name for name in results if name.startswith(API)]) == API_TESTS


def test_only_what_demands_a_500_fails(results: Results) -> None:
    failed = having(results, "fail")
    others = {name: results[name]["why"] for name in failed - set(DEMAND_A_500)}
    assert others == {}
    passed = set(DEMAND_A_500) - failed
    assert passed == set(), "these pass now: no longer demand a 500, or get one"


@pytest.mark.parametrize("name", DEMAND_A_500)
def test_what_demands_a_500_gets_what_fits(results: Results, name: str) -> None:
    assert DEMAND_A_500[name] in results[name]["why"]


def test_only_what_needs_a_real_nova_is_skipped(results: Results) -> None:
    assert having(results, "skip") == set(NEED_NOVA)
    for name, reason in NEED_NOVA.items():
        assert reason in results[name]["why"]
