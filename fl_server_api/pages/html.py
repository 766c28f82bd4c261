"""Times and ids in pages. `face.js` shows the times in the reader's zone, and adds a button that copies an id."""

from __future__ import annotations

from datetime import datetime

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince

NOTHING = "–"
SHORT_ID = 8


def moment(when: datetime | None) -> SafeString | str:
    """A time with seconds, in the server's zone until the script shows it in the reader's; a dash for None."""
    if when is None:
        return NOTHING
    local = timezone.localtime(when)
    text, zone = date_format(local, "Y-m-d H:i:s"), date_format(local, "T")
    return format_html('<time datetime="{}" title="{} {}">{}</time>', when.isoformat(), text, zone, text)


def ago(when: datetime | None) -> SafeString | str:
    """How long ago a time is, or how far ahead; the script keeps it current."""
    if when is None:
        return NOTHING
    now = timezone.now()
    span = timesince(min(when, now), max(when, now), depth=1)
    text = f"{span} ago" if when <= now else f"in {span}"
    return format_html('<time datetime="{}" data-relative>{}</time>', when.isoformat(), text)


def short_id(key: object) -> SafeString:
    """The beginning of an id; the script adds a button that copies all of it."""
    return format_html('<code class="id" data-copy="{}">{}</code>', key, str(key)[:SHORT_ID])


def figure(value: float | None) -> str:
    """A number with four significant digits; a dash for None."""
    return NOTHING if value is None else f"{value:.4g}"


def change(value: float | None) -> str:
    """How much a number has changed, with its sign."""
    return NOTHING if value is None else f"{value:+.4g}"


def thousands(value: int) -> str:
    """A whole number in groups of three digits: 1,234,567."""
    return f"{value:,}"


def unlocalized(value: float) -> str:
    """A number as a drawing needs it, whatever the language of the page."""
    return f"{value:.1f}"
