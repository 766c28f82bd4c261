"""Who has this name and this password? Looked at by Basic authentication, the admin, and forms alike."""

from __future__ import annotations

import hmac
import secrets
import threading
from dataclasses import dataclass
from time import monotonic
from uuid import UUID

from django.contrib.auth.hashers import make_password

from fl_server_core.models.user import User
from fl_server_core.services.sign_in_limits import (
    group_of,
    note_failure,
    note_success,
    refuse_if_limited,
    refuse_if_remembered,
)
from fl_server_core.trail import note

SUCCESS_SECONDS = 300.0
MAX_SUCCESSES = 10_000
# Of the threads that check passwords of one account from one address, one hashes and the others wait. Then they know
# its result, or that they are refused: neither more hashes nor more failures than allowed, however many ask at once.
_locks = [threading.Lock() for _ in range(256)]


@dataclass(frozen=True)
class Success:
    """password: the hash that the account had; another one in its row ends the success."""

    user_id: UUID
    password: str
    until: float


class Successes:
    """The credentials that were right in the last minutes, so that a client of Basic pays for one hash and not for each
    request.

    In this process's memory only, under a keyed hash with a key of this process: what is found there can't be tried
    elsewhere. Failures are not kept.
    """

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._kept: dict[bytes, Success] = {}

    def mark_of(self, username: str, password: str, address: str) -> bytes:
        """Under what these credentials are kept. The lengths keep apart what would look the same put together.

        They are right for their address only: elsewhere, guessing against what is kept would cost no hash and no count.
        """
        parts = (text.encode(errors="surrogatepass") for text in (group_of(address), username, password))
        return hmac.digest(self._key, b"".join(b"%d:%b" % (len(part), part) for part in parts), "sha256")

    def find(self, mark: bytes) -> User | None:
        """The user as the database has it now, if the account is still active and has the same password."""
        success = self._kept.get(mark)
        if success is None:
            return None
        user = User.objects.filter(pk=success.user_id).first() if success.until > monotonic() else None
        if user is None or not user.is_active or user.password != success.password:
            self._kept.pop(mark, None)
            return None
        return user

    def holds(self, mark: bytes) -> bool:
        """Were these credentials right a short while ago? Only `find` knows whether they still are."""
        return mark in self._kept

    def keep(self, mark: bytes, user: User) -> None:
        if len(self._kept) >= MAX_SUCCESSES:
            self.clear()
        self._kept[mark] = Success(user.pk, user.password, monotonic() + SUCCESS_SECONDS)

    def clear(self) -> None:
        self._kept.clear()


successes = Successes()


def sign_in(*, username: str, password: str, address: str) -> User | None:
    """The active user with this name and password, or None.

    address: where the request comes from, for the limits.

    Raises:
        TooManyFailures: the address has failed too often. No hash has been computed.
    """
    mark = successes.mark_of(username, password, address)
    known = successes.find(mark)
    if known is not None:
        return known
    refuse_if_remembered(address, username)
    with _locks[hash((group_of(address), username)) % len(_locks)]:
        known = successes.find(mark)
        if known is not None:
            return known
        refuse_if_limited(address, username)
        user = _check(username, password)
        if user is None:
            note_failure(address, username)
            return None
        note(signed_in=user)
        note_success(address, username)
        successes.keep(mark, user)
        return user


def refuse_at_once(*, username: str, password: str, address: str) -> None:
    """Raise TooManyFailures if `sign_in` would, as far as this process knows. Costs neither a hash nor a statement."""
    if not successes.holds(successes.mark_of(username, password, address)):
        refuse_if_remembered(address, username)


def _check(username: str, password: str) -> User | None:
    if "\0" in username or "\0" in password:  # PostgreSQL's driver raises on it
        return None
    user = User.objects.filter(username=username).first()
    if user is None:
        make_password(password)  # takes as long as a wrong password: the time tells nobody which accounts exist
        return None
    note(tried=user)
    return user if user.check_password(password) and user.is_active else None
