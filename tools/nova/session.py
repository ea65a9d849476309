"""A run from the stack's start to its end: whatever happens, nothing is left behind."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from bench import Bench
from cloud import Cloud
from commands import run, uninterrupted
from flows import Flow
from report import NUMBERS, START, FlowEnded, Report, read_numbers
from service import Service
from stack import Stack


class Session:
    """Call :meth:`go` once, and :meth:`leave` in any case."""

    def __init__(self, flows: Sequence[Flow], *, keep: bool, uwsgi: bool) -> None:
        self._flows = flows
        self._keep = keep
        self._folder = Path(tempfile.mkdtemp(prefix="cyborg-nova-"))
        self._stack = Stack()
        self._service = Service(self._folder, self._stack, flows[0].hardware, uwsgi=uwsgi)
        self._bench: Bench | None = None
        #: Names in Placement that were there before us; none is ours until we know them.
        self._names: set[str] | None = None

    def go(self) -> bool:
        """Run the flows; return whether every check has passed."""
        print("starting the stack and our service", flush=True)
        self._stack.start()
        _delete_queues()
        # Before anybody has a token: each has the catalogue of its time.
        self._stack.offer(f"{self._service.url}/v2")
        cloud = Cloud()
        self._names = cloud.placement.custom_names()
        report = Report(self._save, read_numbers(NUMBERS))
        self._bench = bench = Bench(self._stack, self._service, cloud, report)
        self._stack.mark()
        bench.sweep()
        try:
            with report.flow(START):
                with report.check("the service starts", needed=True):
                    self._service.start()
                with report.check("its providers are in Placement"):
                    bench.wait_for_providers(60)
        except FlowEnded:
            return report.summary()
        for flow in self._flows:
            flow.run(bench)
        return report.summary()

    def leave(self, good: bool) -> None:
        """Take away everything; says what cannot be, and goes on."""
        bench = self._bench
        if bench is not None:
            _attempt("the flow's things", bench.clean_up)
        _attempt("our processes", self._service.stop)
        if bench is not None:
            _attempt("what is left in the cloud", bench.sweep)
            _attempt("our database", bench.database.recreate)
            _attempt("our traits and classes", lambda: self._forget_names(bench))
        _attempt("our queues", _delete_queues)
        with uninterrupted():
            _attempt("the stack", lambda: self._stack.leave(self._keep))
        if good and not self._keep:
            shutil.rmtree(self._folder)
        else:
            print(f"logs are in {self._folder}", flush=True)

    def _forget_names(self, bench: Bench) -> None:
        ours = {
            path
            for hardware in {flow.hardware for flow in self._flows}
            for path in (
                f"/resource_classes/{hardware.resource_class}",
                *(f"/traits/{trait}" for trait in hardware.traits),
            )
        }
        if self._names is not None:
            bench.placement.forget_names(ours & bench.placement.custom_names() - self._names)

    def _save(self, name: str, trace: str) -> str:
        assert self._bench is not None
        folder = self._folder / "failures" / name
        folder.mkdir(parents=True, exist_ok=True)
        files = {
            "trace.txt": trace,
            **self._service.logs(),
            **self._stack.telling_lines(self._bench.servers()),
        }
        for file, text in files.items():
            (folder / file).write_text(text)
        return str(folder)


def _attempt(what: str, action: Callable[[], object]) -> None:
    try:
        action()
    except Exception as error:  # the rest is to be taken away all the same
        print(f"not cleaned up: {what}: {type(error).__name__}: {error}", flush=True)


def _delete_queues() -> None:
    # They outlive their processes, and their messages would be the next run's.
    listed = _rabbitmqctl("list_queues", "--no-table-headers", "name", "consumers")
    for line in listed.splitlines():
        queue, _, consumers = line.partition("\t")
        if queue.startswith("cyborg-") and consumers == "0":
            _rabbitmqctl("delete_queue", queue)


def _rabbitmqctl(command: str, *arguments: str) -> str:
    host = os.environ["MS_VHOST"]
    return run(["rabbitmqctl", "-q", command, "-p", host, *arguments], check=False).stdout
