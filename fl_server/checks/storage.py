"""The bucket: its settings, and, asked of the bucket itself, whether this server can use it."""

import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from django.conf import settings
from django.core import checks
from django.core.files.storage.handler import StorageHandler

PREFIX_PART = re.compile(r"(?!\.{1,2}$)[\w.-]+", re.ASCII)
ASK = "docs/storage.md has the policy that the key needs."
REASONS: dict[str, tuple[str, str]] = {
    "NoSuchBucket": (
        "There is no bucket {bucket!r} at {where}.",
        "Create it, or correct FL_S3_BUCKET and FL_S3_ENDPOINT_URL: this server creates none.",
    ),
    "InvalidAccessKeyId": ("{where} does not know the access key.", "Correct FL_S3_ACCESS_KEY."),
    "SignatureDoesNotMatch": (
        "The secret key does not belong to the access key.",
        "Correct FL_S3_SECRET_KEY. If it is right: a proxy on the way to the bucket changes the header Host.",
    ),
    "RequestTimeTooSkewed": (
        "This machine's clock and that of {where} differ by more than 15 minutes, so no signature is accepted.",
        "Have the clock set over the network (NTP).",
    ),
    "PermanentRedirect": ("The bucket {bucket!r} is in another region.", "Correct FL_S3_REGION."),
    "AuthorizationHeaderMalformed": ("The bucket {bucket!r} is in another region.", "Correct FL_S3_REGION."),
    "AccessDenied": ("The key may not {action} in the bucket {bucket!r}.", f"Allow it. {ASK}"),
}
"""By the code that S3 answers with: what it means, and what to do."""


def check_bucket_settings(**_: Any) -> Iterator[checks.CheckMessage]:
    """A folder in the bucket must be a name that every store takes; addresses in it are keys to files."""
    if not settings.FL_S3_BUCKET:
        return
    if any(not PREFIX_PART.fullmatch(part) for part in settings.FL_S3_PREFIX.split("/") if settings.FL_S3_PREFIX):
        yield checks.Error(
            f"FL_S3_PREFIX must be a folder such as servers/one, not {settings.FL_S3_PREFIX!r}.",
            hint="Use letters, digits, dots, hyphens and underscores between single slashes.",
            id="fl_server.E023",
        )
    for name in ("FL_S3_ENDPOINT_URL", "FL_S3_PUBLIC_ENDPOINT_URL"):
        if getattr(settings, name) and not is_web_address(getattr(settings, name)):
            yield checks.Error(
                f"{name} must be an address such as https://s3.example.org, not {getattr(settings, name)!r}.",
                hint="Begin it with https:// (or http://), and name a host.",
                id="fl_server.E025",
            )
    address = settings.FL_S3_PUBLIC_ENDPOINT_URL or settings.FL_S3_ENDPOINT_URL
    if settings.FL_PRODUCTION and settings.FL_S3_DIRECT_SECONDS and address.startswith("http://"):
        yield checks.Warning(
            f"Downloads with ?direct=1 are led to {address} without TLS: who is on the way can read and change models.",
            hint="Set FL_S3_PUBLIC_ENDPOINT_URL to an address that begins with https://, or FL_S3_DIRECT_SECONDS to 0.",
            id="fl_server.W064",
        )


def is_web_address(text: str) -> bool:
    """Has it a scheme and a host? Without, the first request would fail instead of the start."""
    try:
        parts = urlsplit(text)
        is_whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return is_whole and not re.search(r"\s", text)


def check_bucket(**_: Any) -> Iterator[checks.CheckMessage]:
    """Find the bucket, and do once what a server does with it: at the first thing that fails, say what and why."""
    if not settings.FL_S3_BUCKET:
        return
    from botocore.exceptions import BotoCoreError, ClientError  # of the extra `s3`

    named: Any = settings.STORAGES
    storage: Any = StorageHandler(named)["default"]
    name = f"check-{uuid4().hex}"
    about = {"Bucket": storage.bucket_name, "Key": storage._key(name)}
    where = storage.endpoint_url or "S3"
    action = ""
    try:
        for action, act in _actions(storage.connection.meta.client, about):  # noqa: B007  # the one that failed
            act()
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        sentence, hint = REASONS.get(code, ("The bucket {bucket!r} refused to {action}: " + str(error), ASK))
        said = sentence.format(bucket=storage.bucket_name, where=where, action=action)
        yield checks.Error(said, hint=hint, id="fl_server.E010")
    except BotoCoreError as error:
        yield checks.Error(
            f"The bucket could not be reached at {where}: {error}",
            hint="Correct FL_S3_ENDPOINT_URL and FL_S3_REGION, and look at the way there: names, ports, certificates.",
            id="fl_server.E011",
        )


def _actions(client: Any, about: dict[str, str]) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Each by the name that a policy has for it. What is made is removed again."""
    bucket, key = {"Bucket": about["Bucket"]}, about["Key"]
    upload: dict[str, Any] = {}

    def begin() -> None:
        upload.update(UploadId=client.create_multipart_upload(**about)["UploadId"])

    yield "list objects (s3:ListBucket)", lambda: client.list_objects_v2(**bucket, Prefix=key, MaxKeys=1)
    yield "write objects (s3:PutObject)", lambda: client.put_object(**about, Body=b"")
    yield "read objects (s3:GetObject)", lambda: client.head_object(**about)
    yield "delete objects (s3:DeleteObject)", lambda: client.delete_object(**about)
    yield "begin uploads of several parts (s3:PutObject)", begin
    yield (
        "list such uploads (s3:ListBucketMultipartUploads)",
        lambda: client.list_multipart_uploads(**bucket, Prefix=key),
    )
    yield (
        "abort such uploads (s3:AbortMultipartUpload)",
        lambda: client.abort_multipart_upload(**about, UploadId=upload["UploadId"]),
    )
