"""A laptop: what `manage.py` takes by default."""

from fl_server.settings.base import *  # noqa: F403 - a thin override of everything
