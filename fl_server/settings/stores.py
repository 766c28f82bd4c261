"""Where everything is kept: the data folder, the database, files, and Redis. `base` takes it all over."""

import os
from pathlib import Path
from typing import Any

from fl_server.settings.config_file import merged, read_config_file
from fl_server.settings.data_dir import default_data_dir, make_data_dir
from fl_server.settings.environment import Environment
from fl_server.settings.foreign import unknown_variables

_file = read_config_file(os.environ)
env = Environment(merged(os.environ, _file.values))
env.problems += _file.problems
# A configuration file that others can read although it holds secrets.
FL_CONFIG_EXPOSED = _file.path if _file.is_exposed else None
# Variables that look like settings and are none: sentences.
FL_UNKNOWN_VARIABLES = unknown_variables(os.environ)

# --- The data folder -------------------------------------------------------------------------------------------------
FL_DATA_DIR = Path(env.text("FL_DATA_DIR", str(default_data_dir()))).expanduser().resolve()
FL_DATA_DIR_PROBLEM = make_data_dir(FL_DATA_DIR)

# --- Database --------------------------------------------------------------------------------------------------------
FL_POSTGRES_HOST = env.text("FL_POSTGRES_HOST")
DATABASES: dict[str, dict[str, Any]]
if FL_POSTGRES_HOST:
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": FL_POSTGRES_HOST,
            "PORT": env.port("FL_POSTGRES_PORT", 5432),
            "NAME": env.text("FL_POSTGRES_DBNAME", "demo"),
            "USER": env.text("FL_POSTGRES_USER", "demo"),
            "PASSWORD": env.text("FL_POSTGRES_PASSWD"),
            # A machine that vanished without a word: the system would wait for it for a quarter of an hour and more.
            "OPTIONS": {
                "connect_timeout": 10,  # s
                "tcp_user_timeout": 30_000,  # ms
                "keepalives_idle": 30,  # s
                "keepalives_interval": 10,  # s
                "keepalives_count": 3,
            },
        }
    }
else:
    DATABASES = {
        "default": {
            "ENGINE": "fl_server.sqlite",
            "NAME": FL_DATA_DIR / "db.sqlite3",
            "OPTIONS": {
                # A transaction that reads first and writes later fails at once when another one wrote in between,
                # however long the timeout. One that is a writer from its start waits for its turn.
                "transaction_mode": "IMMEDIATE",
                "timeout": 20,
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
            },
        }
    }
# The server's threads live long: each keeps its connection for a minute, looked at before it is used again.
DATABASES["default"] |= {"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True}

# --- Files -----------------------------------------------------------------------------------------------------------
MEDIA_ROOT = FL_DATA_DIR / "files"
# Whether the operator has mounted the same folder for every process.
FL_SHARED_FILES = env.boolean("FL_SHARED_FILES", False)
FILE_UPLOAD_TEMP_DIR = FL_DATA_DIR / "tmp"  # on the disk of MEDIA_ROOT, so that storing an upload is a rename
FILE_UPLOAD_MAX_MEMORY_SIZE = 64 * 1024
FILE_UPLOAD_PERMISSIONS = 0o600
FILE_UPLOAD_DIRECTORY_PERMISSIONS = 0o700
DATA_UPLOAD_MAX_MEMORY_SIZE = env.integer("FL_MAX_REQUEST_MB", 64, least=1) * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 10_000

FL_S3_BUCKET = env.text("FL_S3_BUCKET")
# Several servers may share a bucket: each has its own folder in it.
FL_S3_PREFIX = env.text("FL_S3_PREFIX").strip("/")
FL_S3_ENDPOINT_URL = env.text("FL_S3_ENDPOINT_URL")
# Where participants reach the bucket, if their address of it differs from the server's.
FL_S3_PUBLIC_ENDPOINT_URL = env.text("FL_S3_PUBLIC_ENDPOINT_URL")
# How many seconds a signed address is valid; 0: all downloads go through the server.
FL_S3_DIRECT_SECONDS = env.integer("FL_S3_DIRECT_SECONDS", 300, most=7 * 24 * 3600)  # S3 signs for no longer
STORAGES: dict[str, dict[str, Any]] = {
    "default": {"BACKEND": "fl_server.storage.folder.FolderStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
if FL_S3_BUCKET:
    STORAGES["default"] = {
        "BACKEND": "fl_server.storage.bucket.BucketStorage",
        "OPTIONS": {
            "bucket_name": FL_S3_BUCKET,
            "location": FL_S3_PREFIX,
            "endpoint_url": FL_S3_ENDPOINT_URL or None,
            "public_endpoint_url": FL_S3_PUBLIC_ENDPOINT_URL or None,
            "direct_seconds": FL_S3_DIRECT_SECONDS,
            "region_name": env.text("FL_S3_REGION") or None,
            "access_key": env.text("FL_S3_ACCESS_KEY") or None,
            "secret_key": env.text("FL_S3_SECRET_KEY") or None,
            "addressing_style": env.word("FL_S3_ADDRESSING", "auto", ("auto", "path", "virtual")),
            "part_mb": env.integer("FL_S3_PART_MB", 16, least=5),  # S3 refuses smaller parts
            "copies_bytes": env.integer("FL_S3_COPIES_MB", 2048) * 1024 * 1024,
            "file_overwrite": False,
        },
    }

# --- Redis: the broker of several processes, and their cache ---------------------------------------------------------
FL_REDIS_LOCATION = env.text("FL_REDIS_LOCATION")
_redis_host = env.text("FL_REDIS_HOST")
_redis_port = env.port("FL_REDIS_PORT", 6379)
if not FL_REDIS_LOCATION and _redis_host:
    FL_REDIS_LOCATION = f"redis://{_redis_host}:{_redis_port}/1"
# Without Redis the tasks of the one server process run in that process.
FL_EMBEDDED = not FL_REDIS_LOCATION
CACHES: dict[str, dict[str, Any]]
if FL_EMBEDDED:
    # Beyond so many entries the cache drops some, whatever they are.
    CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
            "OPTIONS": {"MAX_ENTRIES": 100_000},
        }
    }
else:
    CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": FL_REDIS_LOCATION,
            "OPTIONS": {"socket_connect_timeout": 2, "socket_timeout": 5},  # requests wait for it
        }
    }
