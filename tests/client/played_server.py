"""A server that is played by a test of the command line `fl`."""

from collections.abc import Callable
from typing import Any

import httpx

SERVER = "http://fl.example.org"
Run = Callable[..., tuple[int, str, str]]


class PlayedServer:
    """Answers by method and path, and keeps what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {"GET /api/users/": [{"id": "u1", "username": "anna"}]}
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.asked.append(request)
        found = self.answers.get(f"{request.method} {request.url.path}", {})
        if callable(found):
            found = found(request)
        return found if isinstance(found, httpx.Response) else httpx.Response(200, json=found)

    def calls(self) -> list[str]:
        return [f"{request.method} {request.url.path}" for request in self.asked]
