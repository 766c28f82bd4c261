"""A provider of identities on this machine, a server that trusts it, and a browser that signs in."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests

from fl_server_demo.local_server import free_port
from tests.builders.waiting import wait_until
from tests.server_process import ServerProcess

CLIENT = "fl-server"
ANNA = {"sub": "anna-at-clinic", "preferred_username": "anna", "given_name": "Anna", "email": "anna@example.org"}
BEN = {"sub": "ben-at-clinic", "preferred_username": "ben"}
TIMEOUT = 30


@dataclass
class Provider:
    """One that runs in a process of its own, and lets everybody in as whom they like."""

    port: int = field(default_factory=free_port)

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Provider:
        claims = [f"--user-claims={json.dumps(person)}" for person in (ANNA, BEN)]
        command = [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", "--port", str(self.port), *claims]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_until("the provider", self.answers)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(TIMEOUT)

    def answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def identity_token(self, subject: str, client: str = CLIENT) -> str:
        """As a program of a user gets one, past the server."""
        back = "http://127.0.0.1:1/"
        asked = {"response_type": "code", "client_id": client, "redirect_uri": back, "scope": "openid", "nonce": "n"}
        sent = requests.post(
            f"{self.issuer}/oauth2/authorize",
            params=asked,
            data={"sub": subject},
            allow_redirects=False,
            timeout=TIMEOUT,
        )
        (code,) = parse_qs(urlsplit(sent.headers["Location"]).query)["code"]
        given = {"grant_type": "authorization_code", "code": code, "redirect_uri": back}
        answer = requests.post(f"{self.issuer}/oauth2/token", data=given, auth=(client, "secret"), timeout=TIMEOUT)
        return str(answer.json()["id_token"])


def settings_for(provider: Provider, **more: str) -> dict[str, str]:
    return {
        "FL_OIDC_ISSUER": provider.issuer,
        "FL_OIDC_CLIENT_ID": CLIENT,
        "FL_OIDC_CLIENT_SECRET": "secret",
        **more,
    }


class Browser:
    """Follows the way of a person: to the provider, in as somebody, and back."""

    def __init__(self, server: ServerProcess) -> None:
        self.base = server.base_url
        self.session = requests.Session()

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.session.get(self.base + path, timeout=TIMEOUT, **options)

    def start(self, following: str = "/api/users/myself/") -> str:
        """The provider's address that the server sends the browser to."""
        answer = self.get(f"/oidc/authenticate/?next={following}", allow_redirects=False)
        assert answer.status_code == 302, answer.text
        return answer.headers["Location"]

    def agree(self, address: str, subject: str, **data: str) -> str:
        """The server's address that the provider sends the browser back to."""
        answer = self.session.post(address, data={"sub": subject, **data}, allow_redirects=False, timeout=TIMEOUT)
        assert answer.status_code == 302, answer.text
        return answer.headers["Location"]

    def sign_in(self, subject: str, following: str = "/api/users/myself/") -> requests.Response:
        back = self.agree(self.start(following), subject)
        return self.session.get(back, timeout=TIMEOUT, headers={"Accept": "application/json"})
