"""All connections of a process, and the threads that work for them."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import TYPE_CHECKING, TypeVar, cast

from fl_server.front.answer import Answer, Readable, answer_of
from fl_server.front.body import Body
from fl_server.front.connection import Connection
from fl_server.front.credentials import Known, look_up
from fl_server.front.limits import Limits
from fl_server_api.monitoring.paths import is_probe
from fl_server_api.request_log import note_of
from fl_server_core.log_context import log_scope, reason_of

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

logger = logging.getLogger(__name__)
Result = TypeVar("Result")
# Checks have threads of their own. Tokens and sessions don't wait for passwords, which take long to refuse if they are
# made up, nor for a provider of identities.
CHECK_THREADS = 2
PROBE_THREADS = 4
FILE_THREADS = 4
SWEEP_SECONDS = 1.0
# A reader that takes nothing for this long may have to leave when all places are taken.
QUIET_SECONDS = 5.0


class Front:
    """Serves connections with the application. It belongs to the loop that runs when it is made."""

    def __init__(
        self,
        application: WSGIApplication,
        *,
        threads: int,
        limits: Limits,
        at_once: Callable[[WSGIEnvironment], Answer | None] = lambda _environ: None,
    ) -> None:
        """at_once: the answer to a request that needs no thread."""
        self.limits = limits
        self.is_stopping = False
        self._application = application
        self._at_once = at_once
        self._loop = asyncio.get_running_loop()
        self._requests = ThreadPoolExecutor(threads, "request")
        # Probes must not wait for requests that hang.
        self._probes = ThreadPoolExecutor(PROBE_THREADS, "probe")
        self._checks = ThreadPoolExecutor(CHECK_THREADS, "credentials")
        self._slow_checks = ThreadPoolExecutor(CHECK_THREADS, "slow-credentials")
        self._files = ThreadPoolExecutor(FILE_THREADS, "files")
        self._connections: set[Connection] = set()
        self._addresses: Counter[str] = Counter()
        # Those that hold nothing but their place, the one that has waited longest first.
        self._waiting: dict[Connection, None] = {}

    def connect(self) -> Connection:
        """What the loop makes of each connection that it accepts."""
        return Connection(self)

    def sweep(self) -> None:
        """Close the connections of those who take too long; to be called about once a second."""
        now = monotonic()
        for connection in [one for one in self._connections if one.is_overdue(now)]:
            connection.cut()

    async def drain(self, seconds: float) -> None:
        """Go on accepting connections for so long, each for a single request more."""
        self.is_stopping = True
        deadline = monotonic() + seconds
        while (left := deadline - monotonic()) > 0:
            await asyncio.sleep(min(left, SWEEP_SECONDS))
            self.sweep()

    async def stop(self, seconds: float) -> None:
        """Let requests that run, and answers and signed-in uploads under way, come to their end."""
        self.is_stopping = True
        deadline = monotonic() + seconds
        while self._connections and monotonic() < deadline:
            for connection in list(self._waiting):
                connection.stream.close()
            await asyncio.sleep(0.05)
            self.sweep()
        for connection in list(self._connections):
            connection.stream.abort()
        await asyncio.sleep(0)  # they hear of it, and let go of their files
        for pool in (self._requests, self._probes, self._checks, self._slow_checks):
            pool.shutdown(wait=False, cancel_futures=True)
        self._files.shutdown(wait=False)

    # --- What connections ask for ------------------------------------------------------------------------------------

    def opened(self, connection: Connection) -> None:
        """Count a new connection in. At the bounds, one leaves: of an address the newest, else the longest idle."""
        self._connections.add(connection)
        self._addresses[connection.address[0]] += 1
        if self.limits.per_address and self._addresses[connection.address[0]] > self.limits.per_address:
            connection.stream.abort()
            return
        self._waiting[connection] = None
        if len(self._connections) > self.limits.connections:
            leaving = next(one for one in self._waiting) if len(self._waiting) > 1 else self._quietest(connection)
            self._waiting.pop(leaving, None)
            leaving.cut()

    def _quietest(self, newest: Connection) -> Connection:
        """Of the answers that nobody reads, the one for longest; else the newest connection."""
        before = monotonic() - QUIET_SECONDS
        quiet = [one for one in self._connections if one.quiet_since < before]
        return min(quiet, key=lambda one: one.quiet_since, default=newest)

    def closed(self, connection: Connection) -> None:
        self._connections.discard(connection)
        self._waiting.pop(connection, None)
        self._addresses[connection.address[0]] -= 1
        if not self._addresses[connection.address[0]]:
            del self._addresses[connection.address[0]]

    def note_waiting(self, connection: Connection, *, is_waiting: bool) -> None:
        if is_waiting and connection in self._connections:
            self._waiting[connection] = None
        else:
            self._waiting.pop(connection, None)

    def check(self, environ: WSGIEnvironment, then: Callable[[Known], None]) -> None:
        scheme = environ.get("HTTP_AUTHORIZATION", "").partition(" ")[0].lower()
        pool = self._checks if scheme in ("", "token") else self._slow_checks

        def check() -> Known:
            with log_scope(request_id=note_of(environ).request_id):
                return look_up(environ)

        self._in_thread(pool, check, then, failed=cast(Known, False))

    def store(self, body: Body, then: Callable[[bool], None]) -> None:
        def store() -> bool:
            body.store()
            return True

        self._in_thread(self._files, store, then, failed=False)

    def run(self, environ: WSGIEnvironment, body: Body, then: Callable[[Answer], None]) -> None:
        answer = self._at_once(environ)
        if answer is not None:
            self.discard(body)
            self._loop.call_soon(then, answer)  # not called here: it may go on to the next request, and so on
            return

        def run() -> None:
            with log_scope(request_id=note_of(environ).request_id):
                answer = answer_of(self._application, environ, body)
            self._loop.call_soon_threadsafe(then, answer)

        (self._probes if is_probe(environ["PATH_INFO"]) else self._requests).submit(run)

    def read(self, answer: Answer, size: int) -> asyncio.Future[bytes]:
        return self._loop.run_in_executor(self._files, cast(Readable, answer.content).read, size)

    def discard(self, thing: Body | Answer) -> None:
        if not thing.is_file:
            thing.close()
            return
        try:
            self._files.submit(thing.close)
        except RuntimeError:  # the server has stopped
            thing.close()

    def _in_thread(
        self, pool: ThreadPoolExecutor, work: Callable[[], Result], then: Callable[[Result], None], failed: Result
    ) -> None:
        def do() -> None:
            try:
                result = work()
            except OSError as error:  # a full or missing disk, where a large body waits
                logger.warning("A request could not be taken in. %s", reason_of(error))
                result = failed
            except Exception:
                logger.exception("A request could not be taken in.")
                result = failed
            self._loop.call_soon_threadsafe(then, result)

        pool.submit(do)
