from __future__ import annotations

from uuid import UUID

from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from fl_server_api.openapi import READ, WRITE, answers
from fl_server_api.permissions import has_scope
from fl_server_api.serializers.generic import checked
from fl_server_api.serializers.token import MakeTokenRequest, NewTokenSerializer, TokenSerializer
from fl_server_api.views.base import ApiView, caller
from fl_server_core.models import Scope
from fl_server_core.selectors.tokens import get_token_of, tokens_of
from fl_server_core.services.tokens import end_token, make_token

NEW_TOKEN = OpenApiExample(
    "A dashboard's token", request_only=True, value={"name": "dashboard", "scopes": ["read"], "expires_at": None}
)
DEFAULT_SCOPES = [Scope.READ.value, Scope.WRITE.value]


class TokensView(ApiView):
    scopes = {"POST": Scope.ACCOUNT}

    @extend_schema(responses=answers({200: TokenSerializer(many=True)}, 403, *READ))
    def get(self, request: Request) -> Response:
        """List the caller's tokens.

        The API token is one of them. Keys are left out. `last_used_at` is accurate to five minutes.
        """
        return Response(TokenSerializer(tokens_of(caller(request)), many=True).data)

    @extend_schema(
        request=MakeTokenRequest,
        responses=answers({201: NewTokenSerializer}, 403, 409, *WRITE),
        examples=[NEW_TOKEN],
    )
    def post(self, request: Request) -> Response:
        """Make a token.

        The answer holds its key in `token`. It is not stored and can't be read again. A token can only make tokens
        with scopes that it has itself, and needs the scope `account` to do so. A new password ends all tokens.
        """
        wanted = {"scopes": DEFAULT_SCOPES, **checked(MakeTokenRequest, request.data)}
        lacking = [scope for scope in wanted["scopes"] if not has_scope(request, Scope(scope))]
        if lacking:
            raise PermissionDenied(f"This token can't give the scope '{lacking[0]}', which it lacks itself.")
        token, key = make_token(user=caller(request), author=caller(request), **wanted)
        answer = NewTokenSerializer(token, context={"token": key})
        return Response(answer.data, status=status.HTTP_201_CREATED, headers={"Cache-Control": "no-store"})


class TokenView(ApiView):
    scopes = {"DELETE": Scope.ACCOUNT}

    @extend_schema(responses=answers({200: TokenSerializer}, 400, 403, *READ))
    def get(self, request: Request, token_id: UUID) -> Response:
        """Show one of the caller's tokens.

        Its key is left out.
        """
        return Response(TokenSerializer(get_token_of(caller(request), token_id)).data)

    @extend_schema(responses=answers({204: OpenApiResponse(None, "The token has ended.")}, 400, 403, *READ))
    def delete(self, request: Request, token_id: UUID) -> Response:
        """End one of the caller's tokens.

        If it is the API token, another one takes its place: the user's own page shows it.
        """
        end_token(token_id=token_id, user=caller(request), author=caller(request))
        return Response(status=status.HTTP_204_NO_CONTENT)
