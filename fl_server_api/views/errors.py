from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse

from fl_server_api.middleware import bug
from fl_server_core.log_context import bound_id


def server_error(request: HttpRequest) -> HttpResponse:
    """A bug: says under which id the log has it, and nothing of it."""
    sentence = bug(bound_id("request_id"))
    if request.path_info.startswith("/api/"):
        return JsonResponse({"detail": sentence}, status=500)
    return HttpResponse(sentence, status=500, content_type="text/plain; charset=utf-8")
