"""One POST of a notification, and what came of it."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from uuid import UUID

import httpcore
import httpx
from django.core.exceptions import ValidationError

from fl_server_ai.notification.addresses import AddressPolicy
from fl_server_ai.notification.network import AddressRefused, BoundedBackend, Deadline
from fl_server_ai.notification.signing import signed_headers
from fl_server_core.tracing import trace_headers
from fl_server_core.validators import validate_endpoint

# What a proxy in between says of a receiver that it cannot reach, or a receiver that asks for patience.
TEMPORARY_STATUSES = frozenset({408, 429, 502, 503, 504})
MAX_BODY_BYTES = 4096


@dataclass(frozen=True)
class Accepted:
    """The receiver answered with a status of 2xx."""

    status: int


@dataclass(frozen=True)
class Rejected:
    """The receiver answered with another status: it does not want this, and asking again would not help."""

    status: int


@dataclass(frozen=True)
class NoAnswer:
    """Nothing that the receiver itself has decided.

    is_permanent: trying again cannot help. is_silence: the whole time went by.
    """

    error: str
    is_permanent: bool = False
    is_silence: bool = field(default=False, compare=False)


Outcome = Accepted | Rejected | NoAnswer


def post(
    endpoint: str,
    payload: Mapping[str, Any],
    *,
    delivery_id: UUID,
    secrets: Sequence[str],
    seconds: float,
    policy: AddressPolicy | None = None,
) -> Outcome:
    """Send a notification over a connection of its own; whatever happens, it is over after `seconds`.

    Redirects are not followed (a 3xx is a rejection) and proxies of the environment not used. The id stays the same
    however often a delivery is sent, so that its receiver can ignore a repeat. X-Delivery-Id is webhook-id for clients
    that don't know Standard Webhooks. secrets: of the receiver; each signs.
    """
    content = json.dumps(payload).encode()
    headers = signed_headers(content, delivery_id=str(delivery_id), timestamp=int(time.time()), secrets=secrets)
    headers["X-Delivery-Id"] = str(delivery_id)
    headers.update(trace_headers())
    try:
        validate_endpoint(endpoint)
        status = _post(httpx.URL(endpoint), content, headers, BoundedBackend(Deadline(seconds), policy))
    except (ValidationError, httpx.InvalidURL):
        return NoAnswer("The message endpoint must be an http or https URL.", is_permanent=True)
    except AddressRefused as error:
        return NoAnswer(str(error), is_permanent=True)
    except httpcore.TimeoutException:
        return NoAnswer(f"No answer within {seconds:g} seconds.", is_silence=True)
    except (httpcore.NetworkError, httpcore.ProtocolError) as error:
        return NoAnswer(str(error) or type(error).__name__)
    return _outcome_of(status)


def _post(url: httpx.URL, content: bytes, signed: Mapping[str, str], backend: BoundedBackend) -> int:
    target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
    headers: dict[str, str] = {
        "Host": url.netloc.decode("ascii"),
        "User-Agent": "fl-server",
        "Content-Type": "application/json",
        "Content-Length": str(len(content)),
        "Connection": "close",
        **signed,
    }
    with (
        httpcore.ConnectionPool(ssl_context=_tls_context(), network_backend=backend) as pool,
        pool.stream("POST", target, headers=list(headers.items()), content=content) as response,
    ):
        _read_a_little(response)
        return response.status


def _read_a_little(response: httpcore.Response) -> None:
    """Let the receiver finish its sentence: closing at once would break its write. The status is known already."""
    received = 0
    with suppress(httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError):
        for chunk in response.iter_stream():
            received += len(chunk)
            if received >= MAX_BODY_BYTES:
                return


def _outcome_of(status: int) -> Outcome:
    if 200 <= status < 300:
        return Accepted(status)
    if status in TEMPORARY_STATUSES:
        return NoAnswer(f"Status {status}.")
    return Rejected(status)


@cache
def _tls_context() -> ssl.SSLContext:
    """Reading the authorities' certificates takes longer than a whole delivery: once a process."""
    return httpx.create_ssl_context()
