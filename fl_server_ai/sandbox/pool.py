"""Sandboxed processes, kept warm and shared by the threads of one process."""

from __future__ import annotations

import itertools
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from fl_server_ai.sandbox.configuration import ChildSetup, RequestLimits
from fl_server_ai.sandbox.errors import InvalidInput, ModelRunError, ModelStopped, SandboxBusy, SandboxFailed
from fl_server_ai.sandbox.forking import Zygote
from fl_server_ai.sandbox.job import Job, Reply
from fl_server_ai.sandbox.process import Child
from fl_server_ai.sandbox.watching import Change, Watch, watch_nothing

_TENANTS_REMEMBERED = 1000
# By class, those first that are special cases of others.
_OUTCOMES: dict[type[Exception], Change] = {
    ModelStopped: Change.STOPPED,
    ModelRunError: Change.MODEL_FAILED,
    InvalidInput: Change.INPUT_REFUSED,
    SandboxBusy: Change.BUSY,
    SandboxFailed: Change.NOT_STARTED,
}


class Sandbox:
    """Runs jobs in processes that can reach nothing.

    A process serves one tenant only: what a model of one tenant leaves behind in its process never meets a job of
    another. When another tenant needs the room, the process that has been idle for longest is replaced by a fresh one.
    Tenants take turns, and at most `queue` jobs of one tenant wait: slow models keep their own tenant waiting, not all.
    """

    def __init__(
        self,
        child: ChildSetup,
        *,
        processes: int = 1,
        queue: int = 8,
        request: RequestLimits | None = None,
        watch: Watch = watch_nothing,
    ) -> None:
        request = request or RequestLimits()
        self._watch = watch
        self._zygote = Zygote(child)
        self._models = _Children(self._zygote, processes, queue, request, watch)
        self._clean = _Children(self._zygote, 1, sys.maxsize, request, watch)

    def run(self, job: Job, *, tenant: str) -> Reply:
        """Have a job done that runs the models of `tenant`.

        Raises:
            ModelRunError: the model failed, took too long or too much, or was refused.
            InvalidInput: the input is at fault.
            SandboxBusy: no process became free within twice the time that a job may take, or too many jobs of this
                tenant wait already.
            SandboxFailed: processes cannot be started.
        """
        return self._watched(lambda: self._models.run(job, tenant))

    def run_clean(self, job: Job) -> Reply:
        """Have a job done that needs no model, in a process that never ran any. Raises as `run`."""
        if job.models:
            raise ValueError("A job with models is not clean.")
        return self._watched(lambda: self._clean.run(job, ""))

    def _watched(self, run: Callable[[], Reply]) -> Reply:
        try:
            reply = run()
        except Exception as error:
            outcomes = (outcome for kind, outcome in _OUTCOMES.items() if isinstance(error, kind))
            self._watch(next(outcomes, Change.ENDED_OTHERWISE), 1)
            raise
        self._watch(Change.DONE, 1)
        return reply

    def close(self) -> None:
        """End every process."""
        self._models.close()
        self._clean.close()
        self._zygote.close()

    def abandon(self) -> None:
        """After a fork: let go of what belongs to the parent process, without ending it."""
        self._models.abandon()
        self._clean.abandon()
        self._zygote.abandon()


@dataclass(frozen=True, eq=False)
class _Ticket:
    """A job that waits."""

    tenant: str


class _Children:
    """At most `size` processes; the idle ones by tenant, the one that has been idle for longest first."""

    def __init__(self, zygote: Zygote, size: int, queue: int, request: RequestLimits, watch: Watch) -> None:
        self._zygote = zygote
        self._size = size
        self._queue = queue
        self._request = request
        self._watch = watch
        self._count = 0
        self._idle: OrderedDict[Child, str] = OrderedDict()
        self._waiting: list[_Ticket] = []
        # The number of each tenant's last turn, the earliest first.
        self._turns: OrderedDict[str, int] = OrderedDict()
        self._numbers = itertools.count(1)
        self._changed = threading.Condition()

    def run(self, job: Job, tenant: str) -> Reply:
        child = self._take(tenant)
        try:
            return child.run(job)
        finally:
            # In the middle of a job, what the process would say next is unknown.
            if child.is_free:
                self._give_back(child, tenant)
            else:
                self._watch(Change.KILLED, 1)
                self._end(child)

    def close(self) -> None:
        with self._changed:
            idle, self._idle = list(self._idle), OrderedDict()
        for child in idle:
            self._end(child)

    def abandon(self) -> None:
        for child in self._idle:
            child.abandon()

    def _take(self, tenant: str) -> Child:
        found, outdated = self._reserve(tenant)
        if outdated is not None:
            outdated.end()
        if found is not None:
            return found
        try:
            return Child(self._zygote, self._request)
        except BaseException:
            self._release()
            raise

    def _reserve(self, tenant: str) -> tuple[Child | None, Child | None]:
        """Room for one process: an idle one of this tenant, or else perhaps one that must be ended first."""
        ticket = _Ticket(tenant)
        with self._changed:
            if sum(other.tenant == tenant for other in self._waiting) >= self._queue:
                raise SandboxBusy(f"{self._queue} of your requests wait for their turn already.")
            self._waiting.append(ticket)
            self._watch(Change.WAITING, 1)
            try:
                patience = 2 * self._request.seconds
                if not self._changed.wait_for(lambda: self._is_next(ticket), patience):
                    raise SandboxBusy(f"The server ran other models for {patience:g} seconds.")
                self._note_turn(tenant)
                return self._pick(tenant)
            finally:
                self._waiting.remove(ticket)
                self._watch(Change.WAITING, -1)
                self._changed.notify_all()

    def _is_next(self, ticket: _Ticket) -> bool:
        if not self._idle and self._count >= self._size:
            return False
        # Of the tenants that wait, the one whose last turn was earliest. Of its tickets, the first.
        return min(self._waiting, key=lambda waiting: self._turns.get(waiting.tenant, 0)) is ticket

    def _note_turn(self, tenant: str) -> None:
        self._turns[tenant] = next(self._numbers)
        self._turns.move_to_end(tenant)
        if len(self._turns) > _TENANTS_REMEMBERED:
            self._turns.popitem(last=False)

    def _pick(self, tenant: str) -> tuple[Child | None, Child | None]:
        for child, owner in self._idle.items():
            if owner == tenant:
                del self._idle[child]
                return (child, None) if child.is_alive() else (None, child)
        if self._count < self._size:
            self._count += 1
            self._watch(Change.PROCESSES, 1)
            return None, None
        return None, self._idle.popitem(last=False)[0]

    def _give_back(self, child: Child, tenant: str) -> None:
        with self._changed:
            self._idle[child] = tenant
            self._changed.notify_all()

    def _end(self, child: Child) -> None:
        child.end()
        self._release()

    def _release(self) -> None:
        with self._changed:
            self._count -= 1
            self._watch(Change.PROCESSES, -1)
            self._changed.notify_all()
