"""Settings of a server whose clients send a password with every request: hashing it well takes most of the time."""

from fl_server.settings.development import *  # noqa: F403 - all but the hasher is as it is

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
