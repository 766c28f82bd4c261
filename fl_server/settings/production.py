"""A server that others reach."""

from fl_server.settings.base import *  # noqa: F403 - a thin override of everything
from fl_server.settings.base import (
    ACTORS,
    ENROLMENTS,
    FL_LOG_FILE,
    FL_SILENCED_CHECKS,
    REGISTRATION_MODES,
    env,
)
from fl_server.settings.logging import logging_settings

FL_PRODUCTION = True
DEBUG = False
LOGGING = logging_settings(env, log_file=FL_LOG_FILE, is_production=True)
FL_REGISTRATION = env.word("FL_REGISTRATION", "invite", REGISTRATION_MODES)

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]

# Strangers may have accounts here: nobody trains on its data unasked, and not everybody asks.
FL_ENROLMENT = env.word("FL_ENROLMENT", "consent", ENROLMENTS)
FL_ACTORS = env.word("FL_ACTORS", "flagged", ACTORS)
FL_SHOW_CONTACTS = env.boolean("FL_SHOW_CONTACTS", False)

# Participants in a closed network speak plain HTTP to this server. Where a proxy ends TLS in front of it, the operator
# says so, and cookies travel by TLS alone.
FL_BEHIND_TLS_PROXY = env.boolean("FL_BEHIND_TLS_PROXY", False)
SESSION_COOKIE_SECURE = FL_BEHIND_TLS_PROXY
CSRF_COOKIE_SECURE = FL_BEHIND_TLS_PROXY
# For how long a browser asks for this host by TLS alone. It cannot be taken back: only the operator turns it on.
SECURE_HSTS_SECONDS = env.integer("FL_HSTS_SECONDS", 0)
# What `check --deploy` asks for, and this server leaves to its operator.
SILENCED_SYSTEM_CHECKS = [
    *FL_SILENCED_CHECKS,
    # The proxy redirects to TLS. Health checks and workers in its network speak plain HTTP.
    "security.W008",
    # HSTS for all hosts of a domain, and in the lists of browsers: these are decisions about other servers, too.
    "security.W005",
    "security.W021",
]
if not SECURE_HSTS_SECONDS:
    SILENCED_SYSTEM_CHECKS += ["security.W004"]  # see above: the operator's to turn on
if FL_BEHIND_TLS_PROXY:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
else:
    # Without TLS a cookie that travels by TLS alone would never travel.
    SILENCED_SYSTEM_CHECKS += ["security.W012", "security.W016"]
