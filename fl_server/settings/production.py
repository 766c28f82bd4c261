"""A server that others reach."""

from fl_server.settings.base import *  # noqa: F403 - a thin override of everything
from fl_server.settings.base import ACTORS, ENROLMENTS, env

FL_PRODUCTION = True
DEBUG = False

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]

# Strangers may have accounts here: nobody trains on its data unasked, and not everybody asks.
FL_ENROLMENT = env.word("FL_ENROLMENT", "consent", ENROLMENTS)
FL_ACTORS = env.word("FL_ACTORS", "flagged", ACTORS)

# Participants in a closed network speak plain HTTP to this server. Where a proxy ends TLS in front of it, the operator
# says so, and cookies travel by TLS alone.
FL_BEHIND_TLS_PROXY = env.boolean("FL_BEHIND_TLS_PROXY", False)
SESSION_COOKIE_SECURE = FL_BEHIND_TLS_PROXY
CSRF_COOKIE_SECURE = FL_BEHIND_TLS_PROXY
if FL_BEHIND_TLS_PROXY:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
