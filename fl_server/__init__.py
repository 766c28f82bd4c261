"""Puts the parts of the server together: settings, URLs, Celery and the commands that start it."""

from fl_server.celery import app as celery_app

__all__ = ["celery_app"]
