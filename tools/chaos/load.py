"""What Nova asks of the service: requests made, bound, waited for, read, and deleted."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import requests
from tally import NONE, Events, Tally

from cyborg.tests.functional.processes.cloud import Cloud
from cyborg.tests.functional.processes.harness import Api

#: Seconds for which Nova waits for an event.
PATIENCE = 300.0
#: Seconds between two attempts at what was answered 503, and how many there are.
_PAUSE = 1.0
_ATTEMPTS = 120

_ARQS = "/v2/accelerator_requests"


@dataclass(frozen=True, slots=True)
class Target:
    """Where a server may get a device."""

    host: str
    provider: str


@dataclass(slots=True)
class Boot:
    """A server that is being booted; times as time.monotonic()."""

    server: str
    target: Target
    arqs: list[str] = field(default_factory=list)
    began: float = 0.0
    #: Of the bind.
    status: int = NONE
    answered: float = 0.0
    told: float | None = None
    handles: list[str] = field(default_factory=list)
    #: The bind has ended otherwise than well.
    failed: bool = False


class Nova:
    """The API as Nova uses it. For one thread."""

    def __init__(self, api: Api, tally: Tally) -> None:
        self.api = api
        self._tally = tally

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Return status and body; the status is 0 where there was no answer."""
        try:
            answer = self.api.ask(method, path, body)
        except requests.RequestException as error:
            self._tally.note(method, NONE, repr(error))
            return NONE, repr(error)
        self._tally.note(method, answer.status_code, answer.text)
        is_json = answer.headers.get("Content-Type", "").startswith("application/json")
        return answer.status_code, answer.json() if is_json and answer.content else answer.text

    def insist(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Do the same, again and again where nobody could serve it."""
        for _ in range(_ATTEMPTS):
            status, answer = self.ask(method, path, body)
            if status not in (503, NONE):
                break
            time.sleep(_PAUSE)
        return status, answer

    def create(self, profile: str = "one") -> list[str]:
        """Make ARQs; return none if that was refused."""
        status, body = self.ask("POST", _ARQS, {"device_profile_name": profile})
        return [arq["uuid"] for arq in body["arqs"]] if status == 201 else []

    def bind(self, boot: Boot, *, insist: bool = True) -> int:
        """Bind; return the status."""
        values = {
            "hostname": boot.target.host,
            "device_rp_uuid": boot.target.provider,
            "instance_uuid": boot.server,
        }
        patch = [{"op": "add", "path": f"/{key}", "value": value} for key, value in values.items()]
        ask = self.insist if insist else self.ask
        boot.status, _ = ask("PATCH", _ARQS, dict.fromkeys(boot.arqs, patch))
        boot.answered = time.monotonic()
        return boot.status

    def read(self, boot: Boot) -> list[dict[str, Any]]:
        """Return the ARQs of the server."""
        status, body = self.insist("GET", f"{_ARQS}?instance={boot.server}")
        assert status == 200, f"GET of {boot.server} answered {status} {body}"
        found: list[dict[str, Any]] = body["arqs"]
        return found

    def delete(self, boot: Boot) -> None:
        """Delete the server's ARQs, or those that were never bound."""
        path = f"{_ARQS}?instance={boot.server}"
        if boot.status != 202:
            path = f"{_ARQS}?arqs={','.join(boot.arqs)}"
        status, body = self.insist("DELETE", path)
        assert status in (204, 404), f"DELETE of {boot.server} answered {status} {body}"


class Load:
    """Makes load, and remembers what it has seen."""

    def __init__(self, cloud: Cloud, targets: Sequence[Target], clients: int) -> None:
        self._cloud = cloud
        self.targets = list(targets)
        self._clients = clients
        self.tally = Tally()
        self.events = Events(cloud.nova)
        self._lock = threading.Lock()
        #: Who has which handle, as Nova sees it.
        self._holders: dict[str, str] = {}
        self._troubles: list[str] = []
        self._numbers = itertools.count()
        self.renew()
        #: Boots that are over, since the last :meth:`forget`.
        self.finished: list[Boot] = []

    def renew(self) -> None:
        """Let Nova have another token, which the API knows for longest."""
        self._headers = dict(self._cloud.as_nova().session.headers)
        self._local = threading.local()

    def forget(self) -> None:
        """Begin to count anew."""
        self.tally.forget()
        with self._lock:
            self.finished = []

    def close(self) -> None:
        """End it."""
        self.events.close()

    @property
    def nova(self) -> Nova:
        """This thread's Nova."""
        if not hasattr(self._local, "nova"):
            api = Api(self._cloud.ours.api.url)
            api.session.headers.update(self._headers)
            self._local.nova = Nova(api, self.tally)
        found: Nova = self._local.nova
        return found

    # -- one boot

    def prepared(self, target: Target) -> Boot | None:
        """Return a server with an ARQ that can be bound; None if there could be none."""
        server = self._cloud.server(vm_state="building", task_state="scheduling")
        boot = Boot(server, target, self.nova.create(), time.monotonic())
        return boot if boot.arqs else None

    def bound(self, target: Target) -> Boot | None:
        """Return a server whose ARQ is being bound; None if there could be none."""
        boot = self.prepared(target)
        if boot is not None:
            self.bind(boot)
        return boot

    def bind(self, boot: Boot) -> Boot:
        """Bind a server's ARQ, and let the server have its host."""
        self.nova.bind(boot)
        self._cloud.land(boot.server, boot.target.host)
        return boot

    def see(self, boot: Boot, patience: float = PATIENCE, *, may_fail: bool = False) -> Boot:
        """Wait for the event of a bind that was accepted, and look at what the server got.

        :param may_fail: the bind may have failed, if the reason is there.
        """
        if boot.status != 202:
            return boot
        boot.told = self.events.wait(boot.arqs, time.monotonic() + patience)
        if boot.told is None:
            self._trouble(f"no event about {boot.server}, {self.nova.read(boot)}")
        arqs = self.nova.read(boot)
        odd = [arq for arq in arqs if arq["state"] != "Bound"]
        if not arqs or (odd and not (may_fail and all(arq["state_reason"] for arq in odd))):
            self._trouble(f"{boot.server} has {arqs}")
        boot.failed = bool(odd)
        boot.handles = [arq["attach_handle_uuid"] for arq in arqs if arq["attach_handle_uuid"]]
        with self._lock:
            for handle in boot.handles:
                other = self._holders.setdefault(handle, boot.server)
                if other != boot.server:
                    self._troubles.append(f"handle {handle} of {other} and {boot.server}")
        return boot

    def delete(self, boot: Boot) -> None:
        """Let a server be deleted."""
        with self._lock:
            for handle in boot.handles:
                self._holders.pop(handle, None)
        self.nova.delete(boot)
        self._cloud.nova.servers.pop(boot.server, None)
        with self._lock:
            self.finished.append(boot)

    def life(self, *, may_fail: bool = False) -> None:
        """Boot a server somewhere, and delete it; see :meth:`see`."""
        boot = self.bound(self.targets[next(self._numbers) % len(self.targets)])
        if boot is None:
            time.sleep(_PAUSE / 4)
            return
        self.see(boot, may_fail=may_fail)
        self.delete(boot)

    # -- many

    def at_once(self, work: Callable[[Any], Any], items: Sequence[Any], threads: int) -> list[Any]:
        """Do the same with many items, on some threads; return the results in their order."""
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(work, items))

    @contextmanager
    def background(self, clients: int | None = None, *, may_fail: bool = False) -> Iterator[None]:
        """Let servers be booted and deleted during the block, and the last ones after it.

        :param may_fail: binds may fail, if the reason is there.
        """
        over = threading.Event()

        def live() -> None:
            while not over.is_set():
                try:
                    self.life(may_fail=may_fail)
                except Exception as error:  # any is a trouble of the run
                    self._trouble(f"{type(error).__name__}: {error}")

        threads = [threading.Thread(target=live) for _ in range(clients or self._clients)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            over.set()
            for thread in threads:
                thread.join()

    def check(self, *, may_be_silent: bool = False) -> None:
        """Raise if the clients have seen what must not be; forget it."""
        with self._lock:
            troubles, self._troubles = self._troubles, []
        assert not troubles, f"{len(troubles)} troubles: {troubles[:3]}"
        self.tally.check(may_be_silent=may_be_silent)

    def _trouble(self, text: str) -> None:
        with self._lock:
            self._troubles.append(text)
