"""What a cloud's Keystone must have for this service, and how it gets there."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from openstack import exceptions

if TYPE_CHECKING:
    from openstack.identity.v3._proxy import Proxy
    from openstack.identity.v3.domain import Domain
    from openstack.identity.v3.endpoint import Endpoint
    from openstack.identity.v3.project import Project
    from openstack.identity.v3.role import Role
    from openstack.identity.v3.service import Service
    from openstack.identity.v3.user import User

USER_ROLE = "accelerator_user"
ADMIN_ROLE = "accelerator_admin"

SERVICE_TYPE = "accelerator"
SERVICE_NAME = "cyborg"
SERVICE_DESCRIPTION = "Accelerators: FPGAs, GPUs, SmartNICs and others"

#: Keystone's own; nobody can be allowed to ask us for anything without it.
_CLOUD_ADMIN = "admin"
#: Which an older Keystone does not have by itself.
_SERVICE_ROLE = "service"

#: Tries to make what another one makes at the same time, and seconds between them at most.
_TRIES = 10
_PAUSE = 1.0

T = TypeVar("T")


class BootstrapError(Exception):
    """What is there does not allow to go on; the text is the one line to show."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The service in the catalogue, with endpoints of one region."""

    region: str | None
    urls: Mapping[str, str]  # by interface; the others are left alone


@dataclass(frozen=True, slots=True)
class ServiceUser:
    """The user that this service is to other services."""

    name: str
    project: str
    domain: str
    password: Callable[[], str]  # asked only when it is needed
    update_password: bool


class Bootstrap:
    """Makes what is missing, and says one line of each thing.

    Each method can be called again after any trouble, and by several at the same time. It raises
    ``openstack.exceptions.SDKException`` when Keystone refuses; what was made stays.

    :param dry_run: look, and say what would be done.
    """

    def __init__(self, identity: Proxy, say: Callable[[str], None], *, dry_run: bool) -> None:
        self._identity = identity
        self._say = say
        self._dry_run = dry_run

    def roles(self) -> None:
        """Make the two roles, and let one imply the other."""
        user, admin = self._role(USER_ROLE), self._role(ADMIN_ROLE)
        self._ensure(
            f"role {ADMIN_ROLE} implies {USER_ROLE}",
            lambda: self._implication("GET", admin, user),
            lambda: self._implication("PUT", admin, user),
        )

    def catalogue(self, wanted: Catalogue) -> None:
        """Make the service, and the endpoints; one whose URL is another is changed.

        :raises BootstrapError: there are several, and it is not clear which one is meant.
        """
        service = self._ensure(
            f"service {SERVICE_NAME} of type {SERVICE_TYPE}", self._service, self._make_service
        )
        region = wanted.region
        if not wanted.urls or not region:
            return
        self._ensure(
            f"region {region}",
            lambda: _first(one for one in self._identity.regions() if one.id == region),
            lambda: self._identity.create_region(id=region),
        )
        for interface, url in wanted.urls.items():
            self._endpoint(service, region, interface, url)

    def service_user(self, wanted: ServiceUser) -> None:
        """Make the user, its project, and its roles there.

        :raises BootstrapError: there is no such domain.
        """
        domain = self._domain(wanted.domain)
        project = self._ensure(
            f"project {wanted.project}",
            lambda: _first(self._identity.projects(name=wanted.project, domain_id=domain.id)),
            lambda: self._identity.create_project(name=wanted.project, domain_id=domain.id),
        )
        user = self._user(wanted, domain)
        for role in (self._admin_role(), self._role(_SERVICE_ROLE)):
            self._grant(wanted, project, user, role)

    def _ensure(
        self, what: str, find: Callable[[], T | None], make: Callable[[], T | None]
    ) -> T | None:
        """Return the thing, which is made if it is missing; None in a dry run without it.

        :param make: returns None if somebody else is making the same.
        """
        conflict: Exception = BootstrapError(f"{what}: others are making it; try again")
        for _ in range(_TRIES):
            found = find()
            if found is not None:
                disabled = getattr(found, "is_enabled", None) is False
                self._say(f"exists: {what}{' (disabled)' if disabled else ''}")
                return found
            if self._dry_run:
                self._say(f"would create: {what}")
                return None
            try:
                made = make()
            except exceptions.ConflictException as error:
                conflict = error
                continue
            if made is not None:
                self._say(f"created: {what}")
                return made
            time.sleep(random.uniform(0, _PAUSE))  # noqa: S311 -- so that we part
        raise conflict

    def _update(self, what: str, change: Callable[[], object]) -> None:
        if self._dry_run:
            self._say(f"would update: {what}")
            return
        change()
        self._say(f"updated: {what}")

    def _role(self, name: str) -> Role | None:
        return self._ensure(
            f"role {name}",
            # Those of a domain, which nobody can be given, are not listed.
            lambda: _first(self._identity.roles(name=name)),
            lambda: self._identity.create_role(name=name),
        )

    def _admin_role(self) -> Role:
        found = _first(self._identity.roles(name=_CLOUD_ADMIN))
        if found is None:
            raise BootstrapError(f"there is no role {_CLOUD_ADMIN}: run keystone-manage bootstrap")
        return found

    def _implication(self, method: str, prior: Role | None, implied: Role | None) -> bool | None:
        if prior is None or implied is None:
            return None
        return self._relation(method, f"/roles/{prior.id}/implies/{implied.id}")

    def _relation(self, method: str, path: str) -> bool | None:
        # openstacksdk knows no implied roles, and is silent about a grant that is refused.
        answer = self._identity.request(path, method)
        if answer.status_code == 404:
            return None
        exceptions.raise_from_response(answer)
        return True

    def _service(self) -> Service | None:
        found = list(self._identity.services(type=SERVICE_TYPE))
        found = [one for one in found if one.name == SERVICE_NAME] or found
        if len(found) > 1:
            raise BootstrapError(
                f"there are {len(found)} services of type {SERVICE_TYPE}: delete all but one"
            )
        return _first(found)

    # Keystone allows any number of equal services and endpoints. Whoever makes one and then sees
    # another takes his own back, and looks again: of two at least one sees the other's.

    def _make_service(self) -> Service | None:
        made = self._identity.create_service(
            name=SERVICE_NAME, type=SERVICE_TYPE, description=SERVICE_DESCRIPTION
        )
        if len(list(self._identity.services(type=SERVICE_TYPE))) == 1:
            return made
        self._identity.delete_service(made)
        return None

    def _endpoint(self, service: Service | None, region: str, interface: str, url: str) -> None:
        def find() -> Endpoint | None:
            found = self._endpoints(service, region, interface)
            if len(found) > 1:
                raise BootstrapError(
                    f"there are {len(found)} {interface} endpoints of {SERVICE_TYPE} in "
                    f"{region}: delete all but one"
                )
            return _first(found)

        def make() -> Endpoint | None:
            assert service
            made = self._identity.create_endpoint(
                service_id=service.id, region_id=region, interface=interface, url=url
            )
            if len(self._endpoints(service, region, interface)) == 1:
                return made
            self._identity.delete_endpoint(made)
            return None

        what = f"{interface} endpoint in {region}, {url}"
        found = find()
        if found and found.url != url:
            self._update(what, lambda: self._identity.update_endpoint(found, url=url))
        else:
            self._ensure(what, find, make)

    def _endpoints(self, service: Service | None, region: str, interface: str) -> list[Endpoint]:
        if service is None:
            return []
        found = self._identity.endpoints(service_id=service.id, interface=interface)
        return [one for one in found if one.region_id == region]

    def _domain(self, name: str) -> Domain:
        try:
            return self._identity.find_domain(name, ignore_missing=False)
        except exceptions.NotFoundException as error:
            raise BootstrapError(f"there is no domain {name}") from error

    def _user(self, wanted: ServiceUser, domain: Domain) -> User | None:
        def find() -> User | None:
            return _first(self._identity.users(name=wanted.name, domain_id=domain.id))

        def make() -> User:
            return self._identity.create_user(
                name=wanted.name, domain_id=domain.id, password=wanted.password()
            )

        what = f"user {wanted.name}"
        existed = find()
        user = self._ensure(what, find, make)
        if existed and wanted.update_password:
            password = "" if self._dry_run else wanted.password()
            self._update(
                f"password of {what}",
                lambda: self._identity.update_user(existed, password=password),
            )
        return user

    def _grant(
        self, wanted: ServiceUser, project: Project | None, user: User | None, role: Role | None
    ) -> None:
        def ask(method: str) -> bool | None:
            if not (project and user and role):
                return None
            return self._relation(method, f"/projects/{project.id}/users/{user.id}/roles/{role.id}")

        name = role.name if role else _SERVICE_ROLE
        what = f"role {name} of {wanted.name} in project {wanted.project}"
        self._ensure(what, lambda: ask("HEAD"), lambda: ask("PUT"))


def _first(found: Iterable[T]) -> T | None:
    return next(iter(found), None)
