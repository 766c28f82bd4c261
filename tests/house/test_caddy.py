"""deploy/caddy/Caddyfile, read by Caddy itself and run in front of a server."""

from __future__ import annotations

import http.client
import os
import shutil
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import torch

from fl_server_demo.local_server import free_port
from tests.builders.files import saved
from tests.e2e.sites import Site, embedded
from tests.faults.harness.processes import Process, accepts_connections
from tests.server_process import REPOSITORY

CADDYFILE = REPOSITORY / "deploy" / "caddy" / "Caddyfile"
# Caddy as the file runs it, but on loopback and free ports, with certificates in a folder of the test's.
AROUND = """
{{
    admin off
    default_bind 127.0.0.1
    http_port {http}
    https_port {https}
    skip_install_trust
    storage file_system {folder}
}}
import {file}
"""
SETTINGS = {
    "DJANGO_SETTINGS_MODULE": "fl_server.settings.production",
    "FL_BEHIND_TLS_PROXY": "true",
    "FL_TRUSTED_PROXIES": "127.0.0.1/32",
    "FL_ACTORS": "everyone",
}
BOUNDARY = "a-part-of-the-form"

pytestmark = [pytest.mark.once, pytest.mark.timeout(120)]


def program() -> str:
    """Debian's Caddy: installed, or unpacked beside this Python."""
    found = shutil.which("caddy", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if found is None:
        assert "REQUIRE_SERVICES" not in os.environ, "caddy is not there: make containers"
        pytest.skip("caddy is not installed")
    return found


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with embedded(tmp_path, environment=SETTINGS) as (running, _server):
        yield running


@pytest.fixture
def proxy(site: Site, tmp_path: Path) -> Iterator[tuple[int, ssl.SSLContext]]:
    """The port on which Caddy speaks TLS, and what trusts it."""
    plain, secure, folder = free_port(), free_port(), tmp_path / "certificates"
    file = tmp_path / "Caddyfile"
    file.write_text(AROUND.format(http=plain, https=secure, folder=folder, file=CADDYFILE), encoding="utf-8")
    process = Process(
        "caddy",
        [program(), "run", "--adapter", "caddyfile", "--config", str(file)],
        folder=tmp_path,
        environment={"HOME": str(tmp_path), "FL_UPSTREAM": site.url.removeprefix("http://"), "FL_TLS": "tls internal"},
        directory=tmp_path,
        is_ready=lambda process: accepts_connections(secure) and "certificate obtained" in process.output(),
    )
    process.start()
    try:
        yield secure, ssl.create_default_context(cafile=str(folder / "pki/authorities/local/root.crt"))
    finally:
        process.stop()


def form(content: bytes) -> bytes:
    """An upload of a model, as browsers send it."""
    fields = "".join(
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\nvalue\r\n'
        for name in ("name", "description")
    )
    file = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="model_file"; filename="model.pt"\r\n\r\n'
    return (fields + file).encode() + content + f"\r\n--{BOUNDARY}--\r\n".encode()


def test_it_ends_tls_and_passes_slow_uploads_and_keeps_figures_to_itself(
    site: Site, proxy: tuple[int, ssl.SSLContext]
) -> None:
    port, trust = proxy
    [account] = site.make_users([""])
    login = {"Authorization": f"Token {account.token}"}
    content = saved(torch.nn.Sequential(torch.nn.Linear(500, 500)))
    body = form(content)
    kind = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}", "Content-Length": str(len(body))}
    uploading = http.client.HTTPSConnection("localhost", port, context=trust, timeout=60)
    with httpx.Client(base_url=f"https://localhost:{port}", verify=trust, trust_env=False, timeout=30) as client:
        uploading.request("POST", "/api/models/", body[: len(body) // 2], headers=login | kind)
        # While half of an upload is on its way, others are served. The server knows that they came by TLS.
        page = client.get("/admin/login/")
        assert "Secure" in page.headers["Set-Cookie"]
        assert client.get("/livez").text == "ok\n"
        assert client.get("/metrics").status_code == 404
        uploading.send(body[len(body) // 2 :])
        answer = uploading.getresponse()
        said = answer.read()
        assert answer.status == 201, said
        model = f"/api/models/{httpx.Response(201, content=said).json()['model_id']}/"
        assert client.get(model, headers=login).content == content
        part = client.get(model, headers=login | {"Range": "bytes=10-99"})
        assert (part.status_code, part.content) == (206, content[10:100])
    uploading.close()
    # The figures are there, for those who ask the server itself.
    assert httpx.get(f"{site.url}/metrics", trust_env=False).status_code in (200, 403)
