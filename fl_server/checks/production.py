"""What is fine on a laptop, but unsafe on a server that others reach."""

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core import checks


def check_production(**_: Any) -> Iterator[checks.CheckMessage]:
    """What is fine on a laptop, but unsafe on a server that others reach."""
    if not settings.FL_PRODUCTION:
        return
    if settings.FL_SECRET_KEY_IS_LOCAL and not settings.FL_EMBEDDED:
        yield checks.Warning(
            "The secret key comes from the data folder: processes on another folder have another one.",
            hint="Set FL_DJANGO_SECRET_KEY, or FL_DJANGO_SECRET_KEY_FILE, to the same value for all of them.",
            id="fl_server.W001",
        )
    if not settings.FL_EMBEDDED and not settings.FL_S3_BUCKET and not settings.FL_SHARED_FILES:
        yield checks.Warning(
            f"Models are files in {settings.MEDIA_ROOT}: web processes and workers must all see this folder.",
            hint="Mount a shared volume there and set FL_SHARED_FILES to true, or set FL_S3_BUCKET.",
            id="fl_server.W002",
        )
    if settings.SECURE_HSTS_SECONDS and not settings.FL_BEHIND_TLS_PROXY:
        yield checks.Warning(
            "FL_HSTS_SECONDS has no effect: it is sent by TLS only, and this server speaks plain HTTP.",
            hint="Set FL_BEHIND_TLS_PROXY to true if a proxy ends TLS in front of it, or remove FL_HSTS_SECONDS.",
            id="fl_server.W007",
        )
    if settings.CORS_ALLOW_ALL_ORIGINS:
        yield checks.Warning(
            "Every web site may read the answers that this server gives to a browser.",
            hint="Name the front ends in CORS_ORIGIN_WHITELIST and remove CORS_ALLOW_ALL_ORIGINS.",
            id="fl_server.W003",
        )
