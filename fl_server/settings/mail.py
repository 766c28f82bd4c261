"""How e-mail is sent: through one mail server, or not at all. `base` takes it all over."""

from fl_server.settings.stores import env

FL_EMAIL_HOST = env.text("FL_EMAIL_HOST")
EMAIL_BACKEND = f"django.core.mail.backends.{'smtp' if FL_EMAIL_HOST else 'dummy'}.EmailBackend"
EMAIL_HOST = FL_EMAIL_HOST
# none: plain; starttls: begins plain, then TLS; tls: TLS from the start.
FL_EMAIL_SECURITY = env.word("FL_EMAIL_SECURITY", "starttls", ("none", "starttls", "tls"))
EMAIL_USE_TLS = FL_EMAIL_SECURITY == "starttls"
EMAIL_USE_SSL = FL_EMAIL_SECURITY == "tls"
EMAIL_PORT = env.port("FL_EMAIL_PORT", {"none": 25, "starttls": 587, "tls": 465}[FL_EMAIL_SECURITY])
EMAIL_HOST_USER = env.text("FL_EMAIL_USER")
EMAIL_HOST_PASSWORD = env.text("FL_EMAIL_PASSWORD")
EMAIL_TIMEOUT = env.seconds("FL_EMAIL_TIMEOUT_SECONDS", 10, least=0.1)
DEFAULT_FROM_EMAIL = env.text("FL_EMAIL_FROM", "fl-server@localhost")
