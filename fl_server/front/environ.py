"""From a request's header to what a WSGI application is given."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes, urlsplit

import h11

from fl_server.front.answer import FileWrapper

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

Address = tuple[str, int]
# Said to the next server only. The body has been put together: its Content-Length is set when it is there.
NOT_PASSED_ON = frozenset({"transfer-encoding", "content-length", "expect", "connection", "keep-alive", "te"})

LOOPBACK = ("127.0.0.1", "::1")


def make_environ(request: h11.Request, client: Address, server: Address) -> WSGIEnvironment:
    """All but `wsgi.input` and CONTENT_LENGTH, which are known when the body has arrived.

    Raises:
        ValueError: the target is not an address.
    """
    path, _, query = _origin_form(request.target).partition(b"?")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method.decode("ascii"),
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query.decode("latin-1"),
        "SERVER_NAME": server[0],
        "SERVER_PORT": str(server[1]),
        "SERVER_PROTOCOL": f"HTTP/{request.http_version.decode('ascii')}",
        "REMOTE_ADDR": client[0],
        "REMOTE_PORT": str(client[1]),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
        "wsgi.file_wrapper": FileWrapper,
    }
    for raw_name, raw_value in request.headers:
        name, value = raw_name.decode("ascii"), raw_value.decode("latin-1")
        # A name with an underscore would pass for the one with a hyphen, which a proxy may have set or removed.
        if "_" in name or name in NOT_PASSED_ON:
            continue
        key = "CONTENT_TYPE" if name == "content-type" else f"HTTP_{name.upper().replace('-', '_')}"
        separator = "; " if name == "cookie" else ","
        environ[key] = f"{environ[key]}{separator}{value}" if key in environ else value
    if client[0] in LOOPBACK and environ.get("HTTP_X_FORWARDED_PROTO") == "https":
        environ["wsgi.url_scheme"] = "https"  # a proxy on this machine ends TLS
    return environ


def address_of(name: Any) -> Address:
    """Of one end of a socket, as the socket names it; a socket without addresses has an empty one."""
    return (str(name[0]), int(name[1])) if isinstance(name, tuple) else ("", 0)


def declared_length(request: h11.Request) -> int:
    """The size that the header gives to the body, in bytes; 0 if the body arrives in chunks, and nobody knows."""
    names = dict(request.headers)
    return 0 if b"transfer-encoding" in names else int(names.get(b"content-length", b"0"))


def _origin_form(target: bytes) -> bytes:
    """The path and query of a target; a client that takes us for a proxy sends the whole address."""
    if target.startswith(b"/") or b"://" not in target:
        return target
    parts = urlsplit(target)
    return (parts.path or b"/") + (b"?" + parts.query if parts.query else b"")
