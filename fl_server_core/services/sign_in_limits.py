"""Slows down those who guess passwords and tokens.

Failures are counted in the database, which all processes share, for each pair of an address and an account. A pair is
refused after FL_SIGN_IN_FAILURES failures within FL_SIGN_IN_WINDOW_SECONDS; an address, after failures with as many
accounts. An account is never refused as such: otherwise anybody could lock its owner out.

What is refused is remembered in the process as well, so that a refusal costs neither a hash nor a query.
"""

from __future__ import annotations

import ipaddress
import logging
import math
from datetime import datetime, timedelta
from functools import lru_cache
from time import monotonic

from django.conf import settings
from django.db.models import F
from django.utils import timezone
from django.utils.crypto import salted_hmac

from fl_server_core.exceptions import TooManyFailures
from fl_server_core.models.failed_sign_in import FailedSignIns

logger = logging.getLogger(__name__)
TOKENS = "\0tokens"
"""The account that stands for all tokens, whose owners nobody knows before they are found. No account has this name."""
MAX_REMEMBERED = 10_000
ANY = ""

_refused_until: dict[tuple[str, str], float] = {}


@lru_cache(maxsize=4096)
def group_of(address: str) -> str:
    """What counts as one address: an IPv4 address, or the /64 network that one customer gets of IPv6."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((int(parsed), 64), strict=False))
    return str(parsed)


def refuse_if_remembered(address: str, account: str) -> None:
    """Raise TooManyFailures if this process knows that the pair, or the address, is refused. Costs next to nothing."""
    if not _refused_until:
        return
    now, group = monotonic(), group_of(address)
    for pair in ((group, _digest(account)), (group, ANY)):
        until = _refused_until.get(pair, 0.0)
        if until > now:
            raise TooManyFailures(math.ceil(until - now))


def refuse_if_limited(address: str, account: str) -> None:
    """Raise TooManyFailures if the pair, or the address, has failed too often."""
    refuse_if_remembered(address, account)
    group, digest = group_of(address), _digest(account)
    limit, began_after = settings.FL_SIGN_IN_FAILURES, timezone.now() - _window()
    rows = FailedSignIns.objects.filter(address=group, began_at__gt=began_after).order_by("began_at")
    accounts = []
    for row in rows:
        accounts.append(row.account)
        if row.account == digest and row.failures >= limit:
            _refuse(group, digest, row.began_at)
    if len(accounts) >= limit:
        _refuse(group, ANY, rows[0].began_at)


def note_failure(address: str, account: str) -> None:
    """Count a failure of the pair."""
    group, digest = group_of(address), _digest(account)
    now = timezone.now()
    row = FailedSignIns.objects.filter(address=group, account=digest)
    if row.filter(began_at__gt=now - _window()).update(failures=F("failures") + 1):
        return
    FailedSignIns.objects.filter(began_at__lte=now - _window()).delete()
    FailedSignIns.objects.bulk_create(
        [FailedSignIns(address=group, account=digest, failures=1, began_at=now)],
        update_conflicts=True,
        unique_fields=["address", "account"],
        update_fields=["failures", "began_at"],
    )


def note_success(address: str, account: str) -> None:
    """Forget the failures of the pair: people mistype. Those with other accounts still count."""
    FailedSignIns.objects.filter(address=group_of(address), account=_digest(account)).delete()


def forget_refusals() -> None:
    """Forget what this process remembers. The database still counts."""
    _refused_until.clear()


def _refuse(group: str, digest: str, began_at: datetime) -> None:
    seconds = max(1.0, (began_at + _window() - timezone.now()).total_seconds())
    if len(_refused_until) >= MAX_REMEMBERED:
        _refused_until.clear()
    _refused_until[group, digest] = monotonic() + seconds
    what = "with many accounts" if digest == ANY else "with one account"
    logger.warning("Too many failures to sign in from %s %s: refused for %d s.", group, what, seconds)
    raise TooManyFailures(math.ceil(seconds))


def _window() -> timedelta:
    return timedelta(seconds=settings.FL_SIGN_IN_WINDOW_SECONDS)


def _digest(account: str) -> str:
    return _digest_under(settings.SECRET_KEY, account)


@lru_cache(maxsize=1024)
def _digest_under(secret: str, account: str) -> str:
    """Remembered, because whoever guesses names the same account each time."""
    name = account.encode(errors="surrogatepass")
    return salted_hmac("fl_server_core.failed_sign_ins", name, secret=secret, algorithm="sha256").hexdigest()
