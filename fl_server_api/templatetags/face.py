"""Filters for the pages: times and ids."""

from __future__ import annotations

from django import template

from fl_server_api.pages import html

register = template.Library()
register.filter("moment", html.moment)
register.filter("ago", html.ago)
register.filter("short_id", html.short_id)
register.filter("figure", html.figure)
register.filter("change", html.change)
register.filter("thousands", html.thousands)
register.filter("unlocalized", html.unlocalized)
