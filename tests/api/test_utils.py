from __future__ import annotations

import pytest
from rest_framework.exceptions import ParseError

from fl_server_api.utils import get_entity
from fl_server_core.models import User
from tests.builders.rows import make_user

pytestmark = pytest.mark.django_db


def test_the_row_that_fits_is_found() -> None:
    user = make_user("someone")
    assert get_entity(User, username="someone") == get_entity(User, pk=str(user.pk)) == user


@pytest.mark.parametrize("identifier", ["6f0c2f63-6e1d-4c19-8f21-6a3f1f0a9c02", "not-an-id", 10**40, None])
def test_what_is_not_there_is_named_by_the_lookup_or_by_the_caller(identifier: object) -> None:
    with pytest.raises(ParseError, match=f"^User {identifier} not found.$"):
        get_entity(User, pk=identifier)
    with pytest.raises(ParseError, match=r"^User me not found\.$"):
        get_entity(User, error_identifier="me", pk=identifier)
    with pytest.raises(ParseError, match="Who is that"):
        get_entity(User, "Who is that", pk=identifier)
