"""Everything that is set, each value from an environment variable or a TOML file, with a default for a laptop.

``.env.example`` lists the variables. Nothing set: SQLite, files, logs and a secret key in the data folder, and a Celery
worker inside the one server process. ``FL_POSTGRES_HOST`` and ``FL_REDIS_HOST`` set: PostgreSQL and Redis, as many
processes as wanted.
"""

import django_stubs_ext
from csp.constants import NONE, SELF, UNSAFE_INLINE

from fl_server.settings.data_dir import read_or_make_token
from fl_server.settings.document import SPECTACULAR_SETTINGS as SPECTACULAR_SETTINGS
from fl_server.settings.domain import *  # noqa: F403 - settings, like those below
from fl_server.settings.logging import logging_settings
from fl_server.settings.mail import *  # noqa: F403 - settings, like those below
from fl_server.settings.processes import *  # noqa: F403 - settings, like those below
from fl_server.settings.queues import *  # noqa: F403 - settings, like those below
from fl_server.settings.stores import *  # noqa: F403 - settings, like those below
from fl_server.settings.stores import FL_DATA_DIR, FL_EMBEDDED, env

# Django's own classes, such as ModelAdmin, take type arguments while the program runs, too.
django_stubs_ext.monkeypatch()

# --- Django ----------------------------------------------------------------------------------------------------------
FL_PRODUCTION = False
FL_BEHIND_TLS_PROXY = False
DEBUG = env.boolean("FL_DEBUG", False)
SECRET_KEY = env.text("FL_DJANGO_SECRET_KEY")
FL_SECRET_KEY_IS_LOCAL = not SECRET_KEY
if FL_SECRET_KEY_IS_LOCAL:
    SECRET_KEY = read_or_make_token(FL_DATA_DIR / "secret_key")
SECRET_KEY_FALLBACKS = env.lines("FL_DJANGO_SECRET_KEY_FALLBACK")
# `web` is the name under which the participants of a Docker network reach the server; ports do not count.
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]", "web", *env.lines("FL_DJANGO_ALLOWED_HOSTS")]

INSTALLED_APPS = [
    "fl_server",
    "fl_server_core",
    "fl_server_ai",
    "fl_server_api",
    "fl_server_api.apps.OperatorAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "polymorphic",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "corsheaders",
    "csp",
]

MIDDLEWARE = [
    # Before everything that needs a database, a session, or a host that we know.
    "fl_server_api.monitoring.middleware.ProbeMiddleware",
    # Around all that follow: the request's id is in every line, and in every answer; refusals count, too.
    "fl_server_api.request_log.RequestLogMiddleware",
    "fl_server_api.monitoring.middleware.FiguresMiddleware",
    # Before the others: the redirect to the address with a slash comes before authentication and everything else.
    "fl_server_api.middleware.AppendSlashMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "fl_server_api.problems.ProblemMiddleware",
    # Around everything that refuses, and that writes.
    "fl_server_api.trail.TrailMiddleware",
    "fl_server_api.middleware.GuessMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "fl_server_api.middleware.UnavailableMiddleware",
]
APPEND_SLASH = False
ROOT_URLCONF = "fl_server.urls"
WSGI_APPLICATION = "fl_server.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
AUTH_USER_MODEL = "fl_server_core.User"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en-us"
TIME_ZONE = CELERY_TIMEZONE = env.time_zone("FL_TIME_ZONE", "Europe/Berlin")
USE_I18N = True
USE_TZ = True
CSRF_TRUSTED_ORIGINS = env.lines("FL_CSRF_TRUSTED_ORIGINS")

# WhiteNoise takes the files from the apps themselves: no collectstatic, no hashed names.
STATIC_URL = "/static/"
WHITENOISE_USE_FINDERS = True

# --- Accounts --------------------------------------------------------------------------------------------------------
REGISTRATION_MODES = ("open", "invite", "closed")
FL_REGISTRATION = env.word("FL_REGISTRATION", "open", REGISTRATION_MODES)
AUTHENTICATION_BACKENDS = ["fl_server_api.backends.PasswordBackend"]
FL_SIGN_IN_FAILURES = env.integer("FL_SIGN_IN_FAILURES", 10, least=1)
FL_SIGN_IN_WINDOW_SECONDS = env.seconds("FL_SIGN_IN_WINDOW_SECONDS", 300, least=1)
# Networks of the proxies whose X-Forwarded-For tells a client's address.
FL_TRUSTED_PROXIES = env.words("FL_TRUSTED_PROXIES")

LOGIN_URL = "pages:sign_in"
LOGIN_REDIRECT_URL = "/"  # after a form or a provider that was not told where to go
# Sign-in at an OpenID Connect provider: off without an issuer.
FL_OIDC_ISSUER = env.text("FL_OIDC_ISSUER")
FL_OIDC_CLIENT_ID = env.text("FL_OIDC_CLIENT_ID")
FL_OIDC_CLIENT_SECRET = env.text("FL_OIDC_CLIENT_SECRET")
FL_OIDC_CREATE_USERS = env.boolean("FL_OIDC_CREATE_USERS", False)
if FL_OIDC_ISSUER:
    AUTHENTICATION_BACKENDS.append("fl_server_api.oidc.backend.OIDCBackend")
    # What the library reads. The provider publishes its addresses.
    OIDC_RP_CLIENT_ID = FL_OIDC_CLIENT_ID
    OIDC_RP_CLIENT_SECRET = FL_OIDC_CLIENT_SECRET
    OIDC_RP_SCOPES = "openid profile email"
    OIDC_RP_SIGN_ALGO = "RS256"
    OIDC_USE_PKCE = True
    OIDC_TIMEOUT = 10

# --- Who may do what --------------------------------------------------------------------------------------------------
# open: whom an actor adds takes part at once; consent: once it has accepted, or where it trusts the actor.
ENROLMENTS = ("open", "consent")
FL_ENROLMENT = env.word("FL_ENROLMENT", "open", ENROLMENTS)
# Who registers models and trainings. flagged: accounts whose flag `actor` was given by the staff.
ACTORS = ("everyone", "flagged")
FL_ACTORS = env.word("FL_ACTORS", "everyone", ACTORS)
# Do all users see each other's email addresses and message endpoints?
FL_SHOW_CONTACTS = env.boolean("FL_SHOW_CONTACTS", True)

# --- Checks -----------------------------------------------------------------------------------------------------------
# Warnings of `manage.py check` that the operator has read and accepts.
FL_SILENCED_CHECKS = env.words("FL_SILENCED_CHECKS")
SILENCED_SYSTEM_CHECKS = [*FL_SILENCED_CHECKS]

# --- Monitoring ------------------------------------------------------------------------------------------------------
# Who may read /metrics, and the details of /readyz.
FL_METRICS_TOKEN = env.text("FL_METRICS_TOKEN")
FL_METRICS_LOOPBACK = env.boolean("FL_METRICS_LOOPBACK", True)
FL_METRICS_NETWORKS = env.words("FL_METRICS_NETWORKS")

# --- The API ---------------------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "fl_server_api.authentication.TokenAuthentication",
        "fl_server_api.authentication.BasicAuthentication",
        *(["fl_server_api.oidc.bearer.IdentityTokenAuthentication"] if FL_OIDC_ISSUER else []),
        "fl_server_api.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": [
        "rest_framework.permissions.IsAuthenticated",
        "fl_server_api.permissions.TokenAllows",
    ],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "fl_server_api.negotiation.Negotiation",
    "DEFAULT_RENDERER_CLASSES": [
        "fl_server_api.renderers.JSONRenderer",
        "rest_framework.renderers.BrowsableAPIRenderer",
    ],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_THROTTLE_CLASSES": ["fl_server_api.throttling.AccountThrottle"],
    "EXCEPTION_HANDLER": "fl_server_api.exceptions.handle_exception",
}
CORS_ALLOWED_ORIGINS = env.lines("CORS_ORIGIN_WHITELIST")
CORS_ALLOWED_ORIGIN_REGEXES = env.lines("CORS_ALLOWED_ORIGIN_REGEXES")
# What front ends on other origins may read of an answer besides its body.
CORS_EXPOSE_HEADERS = ["Link", "Retry-After", "X-Request-ID", "X-Total-Count"]
CORS_ALLOW_ALL_ORIGINS = env.boolean("CORS_ALLOW_ALL_ORIGINS", False)

# --- What a browser may do with our pages ----------------------------------------------------------------------------
# Scripts are files of ours, never part of a page: what somebody wrote into a description cannot become one. Styles may
# stand in a page: the browsable API, Swagger UI and ReDoc put them there. The pages of the schema add what they need.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "style-src": [SELF, UNSAFE_INLINE],
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}

# --- Logging ---------------------------------------------------------------------------------------------------------
# Of several processes each would rotate the file under the others: there, stderr is what is collected.
FL_LOG_FILE = FL_DATA_DIR / "logs" / "fl_server.log" if FL_EMBEDDED else None
LOGGING = logging_settings(env, log_file=FL_LOG_FILE)

# --- Traces and error reports ----------------------------------------------------------------------------------------
# Where traces go, by OTLP over HTTP. What else OpenTelemetry reads from variables, it reads itself.
FL_TRACING_ENDPOINT = env.text("OTEL_EXPORTER_OTLP_ENDPOINT")
FL_TRACING = env.boolean("FL_TRACING", bool(FL_TRACING_ENDPOINT))
# Do notifications tell their receivers which trace they belong to?
FL_TRACING_NOTIFICATIONS = env.boolean("FL_TRACING_NOTIFICATIONS", False)
FL_SENTRY_DSN = env.text("FL_SENTRY_DSN")
FL_SENTRY_ENVIRONMENT = env.text("FL_SENTRY_ENVIRONMENT")

# What the checks report of the variables read above.
FL_ENVIRONMENT_PROBLEMS = env.problems
