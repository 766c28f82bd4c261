"""The WSGI application, for any WSGI server: ``fl_server.wsgi:application``."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fl_server.settings.production")

application = get_wsgi_application()
