from __future__ import annotations

from typing import TYPE_CHECKING

from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from fl_server_core.long_requests import count_request

if TYPE_CHECKING:
    from rest_framework.views import APIView  # which imports this module, as the settings name it


class AccountThrottle(BaseThrottle):
    """Counts the requests of each account. Those of nobody are not counted here: the front server bounds them."""

    def allow_request(self, request: Request, view: APIView) -> bool:  # noqa: ARG002  the signature is DRF's
        """True, or AccountBusy with the sentence and the seconds to wait."""
        if request.user and request.user.is_authenticated:
            count_request(request.user)
        return True
