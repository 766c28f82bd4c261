from __future__ import annotations

from django.db import DataError, IntegrityError, transaction

from fl_server_core.exceptions import InvalidValue
from fl_server_core.models.user import User


def register_user(
    *,
    username: str,
    password: str,
    message_endpoint: str = "",
    first_name: str = "",
    last_name: str = "",
    email: str = "",
    actor: bool = False,
    client: bool = False,
) -> User:
    """Make an account; its token comes with it.

    Raises:
        InvalidValue: somebody else took the name at the same moment, or a value does not fit once it is normalized.
    """
    user = User(
        username=User.normalize_username(username),
        email=User.objects.normalize_email(email),
        message_endpoint=message_endpoint,
        first_name=first_name,
        last_name=last_name,
        actor=actor,
        client=client,
    )
    user.set_password(password)  # before the transaction: it takes long on purpose, and SQLite has one writer at a time
    try:
        with transaction.atomic():
            user.save()
    except IntegrityError:
        raise InvalidValue("A user with that username already exists.") from None
    except DataError:
        # Lower-casing and Unicode normalization, which are done on creation, may lengthen a text.
        raise InvalidValue("The username or the email address is too long.") from None
    return user
