"""Web processes and workers must see the same uploaded files. Checked at the start, as far as possible."""

import logging

from django.conf import settings
from django.core.cache import cache
from django.core.exceptions import ImproperlyConfigured
from redis import RedisError

from fl_server.storage.folder import mark_folder

logger = logging.getLogger(__name__)

CACHE_KEY = "fl_server.files_folder"
# A folder that was replaced on purpose is believed after this long, or when Redis was restarted.
REMEMBERED_SECONDS = 24 * 3600


def refuse_unshared_files() -> None:
    """Raise `ImproperlyConfigured` if a process that shares our Redis and database stores its files elsewhere.

    The folder carries a token in a file of its own; the first process to start says it to the others through Redis.
    A bucket is the same from everywhere, and without Redis there is only one process.
    """
    if settings.FL_S3_BUCKET:
        return
    try:
        settings.MEDIA_ROOT.mkdir(mode=settings.FILE_UPLOAD_DIRECTORY_PERMISSIONS, parents=True, exist_ok=True)
    except OSError as error:
        raise ImproperlyConfigured(
            f"The folder of files {settings.MEDIA_ROOT} cannot be made: {error.strerror}."
        ) from error
    ours = mark_folder(settings.MEDIA_ROOT)
    if settings.FL_EMBEDDED:
        return
    try:
        key = _key()
        cache.add(key, ours, timeout=REMEMBERED_SECONDS)
        theirs = cache.get(key, ours)
    except RedisError as error:
        logger.warning("Redis does not answer; whether other processes see the same files is not known: %s", error)
        return
    if ours != theirs:
        raise ImproperlyConfigured(
            f"Another process of this server stores its files in a folder that is not {settings.MEDIA_ROOT}: what it "
            "stores cannot be found here. Mount one shared volume there for all processes, or set FL_S3_BUCKET. (If "
            "the folder was replaced on purpose: stop all processes, and restart Redis.)"
        )


def forget_files_folder() -> None:
    """The folder was replaced on purpose: the first process that starts tells the others of the new one."""
    if settings.FL_EMBEDDED:
        return
    try:
        cache.delete(_key())
    except RedisError as error:
        logger.warning("Redis does not answer. If the server does not start, restart Redis: %s", error)


def _key() -> str:
    """Of several servers on one Redis, each has a database of its own."""
    return f"{CACHE_KEY}:{settings.DATABASES['default']['NAME']}"
