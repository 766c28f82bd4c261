"""Sandboxed processes, kept warm and shared by the threads of one server process."""

from __future__ import annotations

import math
import sys
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass

from fl_server_ai.inference.exceptions import InputShapeMismatch, InvalidInput, ModelRunError, ModelStopped, SandboxBusy
from fl_server_ai.inference.sandbox.job import Answer, Job
from fl_server_ai.inference.sandbox.process import Child, ChildLost, RequestLimits, Zygote
from fl_server_ai.inference.sandbox.zygote import ChildLimits

_TENANTS_REMEMBERED = 1000
SHORT_SECONDS = 0.25
"""More than `queue` requests of a tenant wait where all of them will have had their turn within this."""


class Sandbox:
    """Runs jobs in processes that can reach nothing.

    A process serves one tenant only: what a model of one tenant leaves behind in its process, no other tenant's request
    ever meets. When another tenant needs the room, the process that waited longest is replaced by a fresh one. Tenants
    take turns, and of one tenant at most `queue` requests wait, more only if they are short: slow models keep their own
    tenant waiting, not all.
    """

    def __init__(self, *, processes: int, queue: int, request: RequestLimits, child: ChildLimits) -> None:
        self._zygote = Zygote(child)
        self._models = _Children(self._zygote, processes, queue, request)
        self._clean = _Children(self._zygote, 1, sys.maxsize, request)

    def run(self, job: Job, *, tenant: str) -> Answer:
        """Have a job done that runs the models of `tenant`.

        Raises:
            ModelRunError: the model failed, took too long or too much, or was refused.
            InvalidInput, InputShapeMismatch: the input is at fault.
            SandboxBusy: no process became free within twice the time that a request may take, or as many requests of
                this tenant wait already as may.
            SandboxFailed: processes cannot be started.
        """
        return self._models.run(job, tenant)

    def run_clean(self, job: Job) -> Answer:
        """Have a job done that runs no model, in a process that never ran any. Raises as `run`."""
        if job.models:
            raise ValueError("A job with models is not clean.")
        return self._clean.run(job, "")

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
    """A request that waits. It is an extra one where as many of its tenant wait already as may."""

    tenant: str
    is_extra: bool


@dataclass(eq=False)
class _Tenant:
    """When a tenant had its last turn, by a count of turns, and how long a request of it takes, as far as is known."""

    turn: int = 0
    seconds: float = math.inf
    since: float | None = None

    def begin(self, turn: int) -> None:
        self.turn, self.since = turn, time.monotonic()

    def end(self) -> None:
        if self.since is not None:
            self.seconds, self.since = time.monotonic() - self.since, None

    @property
    def pace(self) -> float:
        """Seconds a request: of the last one, or of the one that runs, once that takes longer."""
        return self.seconds if self.since is None else max(self.seconds, time.monotonic() - self.since)


class _Children:
    """At most `size` processes; the idle ones by tenant, the one that waited longest first."""

    def __init__(self, zygote: Zygote, size: int, queue: int, request: RequestLimits) -> None:
        self._zygote = zygote
        self._size = size
        self._queue = queue
        self._request = request
        self._count = 0
        self._idle: OrderedDict[Child, str] = OrderedDict()
        self._waiting: list[_Ticket] = []
        # The one whose last turn was longest ago comes first.
        self._tenants: OrderedDict[str, _Tenant] = OrderedDict()
        self._turn = 0
        self._changed = threading.Condition()

    def run(self, job: Job, tenant: str) -> Answer:
        child = self._take(tenant)
        is_usable = False
        try:
            answer = child.ask(job)
            is_usable = True
            return answer
        except (ModelRunError, InvalidInput, InputShapeMismatch):
            is_usable = True
            raise
        except ChildLost as error:
            raise ModelStopped(str(error)) from None
        finally:
            self._note_end(tenant)
            # Whatever else happened in the middle of a request: nobody knows what the process would say next.
            if is_usable:
                self._give_back(child, tenant)
            else:
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
        with self._changed:
            ticket = _Ticket(tenant, is_extra=sum(other.tenant == tenant for other in self._waiting) >= self._queue)
            if ticket.is_extra and not self._is_short(tenant):
                raise self._too_many()
            self._waiting.append(ticket)
            try:
                self._wait_for_turn(ticket)
                self._note_turn(tenant)
                return self._pick(tenant)
            finally:
                self._waiting.remove(ticket)
                self._changed.notify_all()

    def _wait_for_turn(self, ticket: _Ticket) -> None:
        patience = SHORT_SECONDS if ticket.is_extra else 2 * self._request.seconds
        if not self._changed.wait_for(lambda: self._is_next(ticket), patience):
            if ticket.is_extra:
                raise self._too_many()
            raise SandboxBusy(f"The server ran other models for {patience:g} seconds.")

    def _too_many(self) -> SandboxBusy:
        return SandboxBusy(f"{self._queue} of your requests wait for their turn already.")

    def _is_short(self, tenant: str) -> bool:
        """Will all that wait of a tenant have had their turn in a moment?"""
        known = self._tenants.get(tenant)
        waiting = sum(other.tenant == tenant for other in self._waiting)
        return known is not None and known.pace * waiting < SHORT_SECONDS

    def _is_next(self, ticket: _Ticket) -> bool:
        if not self._idle and self._count >= self._size:
            return False
        # The first of equals is the one that came first.
        return min(self._waiting, key=self._last_turn) is ticket

    def _last_turn(self, ticket: _Ticket) -> int:
        known = self._tenants.get(ticket.tenant)
        return 0 if known is None else known.turn

    def _note_turn(self, tenant: str) -> None:
        self._turn += 1
        self._tenants.setdefault(tenant, _Tenant()).begin(self._turn)
        self._tenants.move_to_end(tenant)
        if len(self._tenants) > _TENANTS_REMEMBERED:
            self._tenants.popitem(last=False)

    def _note_end(self, tenant: str) -> None:
        with self._changed:
            if tenant in self._tenants:
                self._tenants[tenant].end()

    def _pick(self, tenant: str) -> tuple[Child | None, Child | None]:
        for child, owner in self._idle.items():
            if owner == tenant:
                del self._idle[child]
                return (child, None) if child.is_alive() else (None, child)
        if self._count < self._size:
            self._count += 1
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
            self._changed.notify_all()
