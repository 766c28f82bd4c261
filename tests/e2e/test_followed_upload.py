"""One upload, followed by its id through the log and through its trace: request, queue, closing, delivery."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import requests
import torch
from fl_server_client import Notification, ParticipantClient
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.builders.files import scripted_linear
from tests.collectors import attributes, collector
from tests.e2e.people import People, Worker
from tests.e2e.sites import embedded

UPLOAD = "an-upload.of-mine_1"
FOREIGN_TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def participant(client: ParticipantClient, _number: int) -> Worker:
    def work(notification: Notification) -> None:
        if notification.type == "MODEL_TEST_ROUND":
            client.send_metrics(notification.model, {"accuracy": 1.0})
        elif notification.type == "UPDATE_ROUND_START":
            upload(client, notification)

    return work


def upload(client: ParticipantClient, notification: Notification) -> None:
    answer = requests.post(
        f"{client._http.base_url}models/{notification.model}/?secret=of-a-query",
        data={"round": notification.round, "sample_size": 1},
        files={"model_file": scripted_linear(1.0)},
        headers={
            "Authorization": f"Token {client.token}",
            "X-Request-ID": UPLOAD,
            "traceparent": FOREIGN_TRACE,
            "baggage": "who=somebody",
        },
        timeout=60,
    )
    assert (answer.status_code, answer.headers["X-Request-ID"]) == (201, UPLOAD)


def test_an_upload_is_one_trace_and_one_request_id_from_its_request_to_the_delivery(
    embedded_pass: None, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        receiver = stack.enter_context(collector())
        environment = {
            "FL_LOG_FORMAT": "json",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{receiver.port}",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }
        site, server = stack.enter_context(embedded(tmp_path, environment=environment))
        people = stack.enter_context(People(site, 1, participant))
        model = people.actor.upload_model(torch.nn.Sequential(torch.nn.Linear(3, 2)), "linear")
        training = people.actor.create_training(model, rounds=1, participants=people.ids)
        people.actor.start(training)
        assert people.wait_for_end(training)["state"] == "C"
        assert server.stop() == 0
        lines = [json.loads(line) for line in server.lines()]
        spans = receiver.spans()
    check_lines(lines, training, people.ids[0])
    check_trace(spans, training)


def check_lines(lines: Sequence[dict[str, Any]], training: str, participant_id: str) -> None:
    """Those of the upload, whichever thread wrote them."""
    of_upload = [line for line in lines if line.get("request_id") == UPLOAD]
    [access] = [line for line in of_upload if line["logger"] == "fl_server.access"]
    assert (access["method"], access["status"], access["user_id"]) == ("POST", 201, participant_id)
    assert (access["route"], access["address"]) == ("api/models/<id:model_id>/", "127.0.0.1")
    assert access["bytes_in"] > 1000
    assert access["bytes_out"] > 0
    [closed] = [line for line in of_upload if " is closed: 1 submissions" in line["message"]]
    assert (closed["training_id"], closed["round"], closed["task"]) == (training, 0, "close_round")
    assert closed["trace_id"]
    assert "of-a-query" not in json.dumps(lines)


def check_trace(spans: Sequence[Span], training: str) -> None:
    [request] = [span for span in spans if attributes(span).get("fl.request_id") == UPLOAD and span.kind == 2]
    assert request.trace_id.hex() != FOREIGN_TRACE.split("-")[1]  # a stranger has no say in it
    assert not any("of-a-query" in str(value) for span in spans for value in attributes(span).values())
    trace = {span.span_id: span for span in spans if span.trace_id == request.trace_id}
    ways = [list(reversed([one.name.rpartition(".")[2] for one in way_up(span, trace)])) for span in trace.values()]
    [sent] = [way for way in ways if way[-1] == "send" and "MODEL_TEST" in str(way)] or [ways_to(ways, "send")]
    assert ways_to(ways, "compute")[1:] == ["close_round", "close_round", "compute"]
    assert sent[1:] == ["close_round", "close_round", "close", "deliver", "deliver", "send"]
    closing = [span for span in trace.values() if span.name == "close"]
    assert {attributes(span)["fl.training_id"] for span in closing} == {training}


def ways_to(ways: Sequence[list[str]], name: str) -> list[str]:
    return next(way for way in ways if way[-1] == name)


def way_up(span: Span, trace: dict[bytes, Span]) -> list[Span]:
    """The span and all that it is part of."""
    way = [span]
    while way[-1].parent_span_id:
        way.append(trace[way[-1].parent_span_id])
    return way
