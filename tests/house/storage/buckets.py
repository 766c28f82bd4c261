"""Storages on buckets of the tests."""

from __future__ import annotations

from typing import Any

from fl_server.storage.bucket import BucketStorage
from tests.object_store import BUCKET, KEY, REGION, SECRET


def storage_at(url: str, **options: Any) -> BucketStorage:
    """At this address, with the login and the bucket of the test's server."""
    login = {"access_key": KEY, "secret_key": SECRET, "region_name": REGION}
    return BucketStorage(
        **{
            "bucket_name": BUCKET,
            "endpoint_url": url,
            "location": "own",
            "part_mb": 5,
            "copies_bytes": 64 << 20,
        }
        | login
        | options
    )
