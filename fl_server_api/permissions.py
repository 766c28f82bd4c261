from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from fl_server_core.models import AccessToken, Scope

if TYPE_CHECKING:
    from rest_framework.views import APIView  # which imports this module, for it is in the settings


class TokenAllows(BasePermission):
    """A token does what its scopes say. A password or a session may do everything.

    Reading needs `read` and everything else `write`. A view asks for another scope, for some of its methods, with an
    attribute `scopes`: method to scope.
    """

    def has_permission(self, request: Request, view: APIView) -> bool:
        method = request.method or ""
        default = Scope.READ if method in SAFE_METHODS else Scope.WRITE
        scopes: dict[str, Any] = getattr(view, "scopes", {})
        if not has_scope(request, scopes.get(method, default)):
            raise PermissionDenied(f"This token may not do this: it lacks the scope '{scopes.get(method, default)}'.")
        return True


def has_scope(request: Request, scope: Scope) -> bool:
    """May the request's credentials do this?"""
    return not isinstance(request.auth, AccessToken) or request.auth.allows(scope)
