"""What requests are answered while a service is away."""

from __future__ import annotations

import signal

import httpx

from tests.faults.harness.cluster import Cluster


def test_without_its_database_the_server_answers_503_and_says_so(cluster: Cluster) -> None:
    host, port = cluster.web_addresses()[0]
    with httpx.Client(base_url=f"http://{host}:{port}", timeout=60.0, trust_env=False) as http:
        login = {"Authorization": "Token unknown"}
        assert http.get("/api/models/", headers=login).status_code == 401
        cluster["postgres"].stop(signal.SIGQUIT)
        try:
            answer = http.get("/api/models/", headers=login)
            page = http.get("/admin/", headers={"Cookie": f"sessionid={32 * 'a'}"})
        finally:
            cluster["postgres"].start()
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        assert "database" in answer.json()["detail"]
        assert (page.status_code, "database" in page.text) == (503, True)
        assert http.get("/api/models/", headers=login).status_code == 401
