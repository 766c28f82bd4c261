"""Every endpoint with its methods, and bad bodies, values and ids to send there."""

from __future__ import annotations

from typing import Any

ENDPOINTS: dict[str, str] = {
    "users/": "GET POST",
    "users/myself/": "GET PATCH DELETE",
    "users/myself/notification-secrets/": "GET POST",
    "users/myself/alerts/": "GET POST",
    "users/myself/alerts/{alert}/": "GET PATCH DELETE",
    "users/myself/tokens/": "GET POST",
    "users/myself/tokens/{token}/": "GET DELETE",
    "users/{user}/": "GET",
    "users/groups/": "GET",
    "users/invitations/": "GET",
    "users/trainings/": "GET",
    "groups/": "GET POST",
    "groups/{group}/": "GET PUT PATCH DELETE",
    "models/": "GET POST",
    "models/{model}/": "GET POST DELETE",
    "models/{model}/metadata/": "GET",
    "models/{model}/metrics/": "GET POST DELETE",
    "models/{model}/preprocessing/": "GET POST",
    "models/{model}/swag/": "POST",
    "models/{model}/versions/": "GET",
    "models/{model}/versions/{version}/": "PATCH",
    "models/{model}/versions/{version}/restore/": "POST",
    "trainings/": "GET POST",
    "trainings/{training}/": "GET DELETE",
    "trainings/{training}/start/": "POST",
    "trainings/{training}/accept/": "POST",
    "trainings/{training}/decline/": "POST",
    "trainings/{training}/leave/": "POST",
    "trainings/{training}/clients/": "PUT DELETE",
    "trainings/{training}/models/": "GET",
    "trainings/{training}/models/latest/": "GET",
    "trainings/{training}/status/": "GET",
    "trainings/{training}/metrics/": "GET",
    "trainings/{training}/history/": "GET",
    "trainings/{training}/resume/": "POST",
    "trainings/{training}/stop/": "POST",
    "trainings/{training}/rounds/{kind}/": "POST",
    "inference/": "POST",
    "notifications/": "GET",
    "notifications/{notification}/ack/": "POST",
}
WRITING = [
    (method, path)
    for path, methods in ENDPOINTS.items()
    for method in methods.split()
    if method not in ("GET", "DELETE") or path.endswith("clients/")
]
FIELDS = [
    "username", "password", "message_endpoint", "first_name", "last_name", "email", "actor", "client", "name",
    "description", "round", "type", "input_shape", "models", "sample_size", "metric_names", "metric_values", "model_id",
    "target_num_updates", "aggregation_method", "uncertainty_method", "options", "clients", "model_input",
    "return_format", "accept", "current_password", "scopes", "expires_at", "trusted_actors", "model_file",
    "model_preprocessing_file", "first_moment_file", "second_moment_file",
]  # fmt: skip
BAD_VALUES: list[Any] = [
    None, True, 0, -1, 2**31, 2**63, 2**64, 10**400, 1.5, 1e308, "", "x", "\0", "a\0b", "\ud800", "\u202e", "é" * 300,
    "x" * 5000, "1e999", "NaN", "-0", "None", "../../etc/passwd", "' OR 1=1 --", [], [None], ["x"], ["\0"], [[[[]]]],
    [10**400], {}, {"\0": 1}, {"a": {"b": ["\ud800"]}}, {"x" * 300: None},
]  # fmt: skip
BAD_IDS = [
    "not-an-id", "%00", "-1", "0", "99999999999999999999999", "6f0c2f63-6e1d-4c19-8f21-6a3f1f0a9c02",
    "%F0%28%8C%28", "%ED%A0%80", "..%2f..%2fetc", "x" * 2000, "{6f0c2f63-6e1d-4c19-8f21-6a3f1f0a9c02}", "%20", "٣",
]  # fmt: skip
MODEL_FILE = b"Content-Disposition: form-data; name=model_file"
BAD_BODIES: list[tuple[str, bytes]] = [
    ("application/json", body)
    for body in (
        b"", b"{", b"[]", b"null", b'"x"', b"1", b"\xff\xfe", b"\0", b"[" * 10_000, b'{"a": NaN}', b'{"a": 1e999}',
    )
] + [
    ("application/x-www-form-urlencoded", b"a=%00&b=%ff&round=1&round=2&%ED%A0%80=%ED%A0%80"),
    ("application/x-www-form-urlencoded", b"&&==&=;"),
    ("multipart/form-data", b"x"),
    ("multipart/form-data; boundary=b", b""),
    ("multipart/form-data; boundary=b", b"--b"),
    ("multipart/form-data; boundary=b", b"--b\r\n\r\n\r\n--b--"),
    ("multipart/form-data; boundary=b", b'--b\r\nContent-Disposition: form-data; name="\0"\r\n\r\n\0\r\n--b--'),
    ("multipart/form-data; boundary=b", b'--b\r\n%s; filename="\0"\r\n\r\nx\r\n--b--' % MODEL_FILE),
    ("multipart/form-data; boundary=b", b"--b\r\n%s; filename=../x\r\n\r\nPK\x03\x04" % MODEL_FILE),
    ("text/plain", b"x"),
    ("application/octet-stream", b"\0" * 100),
    ("image/png", b"\x89PNG"),
    ("x", b"x"),
    (";;;", b"x"),
    ("application/json; charset", b"{}"),
]  # fmt: skip
