"""The WSGI application, for any WSGI server: ``fl_server.wsgi:application``.

``manage.py serve`` does not use it. Under another server no tasks run inside the process: that takes Redis and a Celery
worker. Nor are slow clients and large bodies bounded: that takes a proxy (docs/decisions/front.md). The settings are
those of DJANGO_SETTINGS_MODULE, or `fl_server.settings.production` (fl_server/celery.py).
"""

import logging

from django.conf import settings
from django.core.wsgi import get_wsgi_application

from fl_server.checks import refuse_misconfiguration
from fl_server.storage.shared_files import refuse_unshared_files
from fl_server_ai.sandbox import summary
from fl_server_api.wsgi import prepared, with_trail

if settings.FL_EMBEDDED:
    logging.getLogger(__name__).warning("No worker runs here: start `fl-server serve`, or set FL_REDIS_HOST.")
for sentence in refuse_misconfiguration():
    logging.getLogger(__name__).warning("%s", sentence)
refuse_unshared_files()
logging.getLogger(__name__).info("%s", summary())
application = with_trail(prepared(get_wsgi_application()))
