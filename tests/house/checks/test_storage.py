"""What the checks say of the settings of a bucket. What they ask the bucket: tests/house/storage/test_bucket.py."""

import pytest
from pytest_django import Settings

from tests.house.checks.found import ids

pytestmark = pytest.mark.once


def test_a_folder_in_a_bucket_is_a_plain_name_and_signed_addresses_want_tls(settings: Settings) -> None:
    settings.FL_PRODUCTION, settings.FL_S3_BUCKET = True, "models"
    settings.FL_S3_ENDPOINT_URL, settings.FL_S3_PUBLIC_ENDPOINT_URL = "http://store:9000", "https://store.example.org"
    for prefix in ("", "one", "servers/one-2.b_c"):
        settings.FL_S3_PREFIX = prefix
        assert ids() == []
    for prefix in ("a//b", "../b", "a b", "ü"):
        settings.FL_S3_PREFIX = prefix
        assert ids() == ["fl_server.E023"]
    settings.FL_S3_PREFIX, settings.FL_S3_PUBLIC_ENDPOINT_URL = "", ""
    assert ids() == ["fl_server.W064"]
    settings.FL_S3_DIRECT_SECONDS = 0
    assert ids() == []
    for address in ("store.example.org", "s3://store", "https://", "https://[store", "http://a b"):
        settings.FL_S3_ENDPOINT_URL = address
        assert (address, ids()) == (address, ["fl_server.E025"])
