"""What has to happen to a request before Django sees it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_CHARSET = re.compile(r';\s*charset\*?\s*=\s*("[^"]*"|[^;]*)', re.IGNORECASE)


def ignore_charset(application: WSGIApplication) -> WSGIApplication:
    """Take the charset out of every Content-Type: all requests are UTF-8.

    Django decodes the query with whatever codec of Python's the header names, compressions and ones that always fail
    included. It does so while the request object is made: no middleware and no view could answer with a 400.
    """

    def serve(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if "charset" in environ.get("CONTENT_TYPE", "").lower():
            environ["CONTENT_TYPE"] = _CHARSET.sub("", environ["CONTENT_TYPE"])
        return application(environ, start_response)

    return serve
