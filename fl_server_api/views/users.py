from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.contrib.auth import update_session_auth_hash
from django.http.response import HttpResponseBase
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import status
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import ValidationError
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from fl_server_api.client_address import client_address
from fl_server_api.listing import PageQuery, each, listed
from fl_server_api.openapi import READ, WRITE, answers, sentence
from fl_server_api.permissions import has_scope
from fl_server_api.serializers.generic import checked
from fl_server_api.serializers.training import TrainingSerializer
from fl_server_api.serializers.training_invitation import TrainingInvitationSerializer
from fl_server_api.serializers.user import (
    ChangedMyselfSerializer,
    EditMyselfRequest,
    GroupSerializer,
    InvitationCode,
    MyselfSerializer,
    OwnUserSerializer,
    RegisterRequest,
    ShownUserSerializer,
    UserSerializer,
)
from fl_server_api.views.base import ApiView, caller
from fl_server_core.models import Scope, User
from fl_server_core.selectors.groups import groups_of_user
from fl_server_core.selectors.training_invitations import invitations_of_user
from fl_server_core.selectors.trainings import trainings_of_user
from fl_server_core.selectors.users import all_users, get_user
from fl_server_core.services.accounts import delete_user
from fl_server_core.services.registration import refuse_uninvited, register_oneself
from fl_server_core.services.sign_in import sign_in
from fl_server_core.services.tokens import api_token_of
from fl_server_core.services.users import edit_oneself

ACTOR = "2f9b3a5e-8d0c-4f36-9a55-0b1f7d3d3c11"
NEW_USER = OpenApiExample(
    "A participant",
    request_only=True,
    value={
        "username": "hospital-7",
        "password": "correct horse battery staple",
        "message_endpoint": "http://client-07:8101/",
        "client": True,
    },
)


NEW_ENDPOINT = OpenApiExample(
    "Another endpoint", request_only=True, value={"message_endpoint": "http://client-08:8101/"}
)
NEW_PASSWORD = OpenApiExample(
    "Another password",
    request_only=True,
    value={"password": "battery staple horse correct", "current_password": "correct horse battery staple"},
)
NONE_SET = "This account has no password. Ask the operator to set one."
NOT_THE_PRESENT_ONE = "This is not your present password."
TRUST = OpenApiExample("Trust one actor", request_only=True, value={"trusted_actors": [ACTOR]})


class UsersView(ApiView):
    def get_authenticators(self) -> list[BaseAuthentication]:
        """Registering ignores credentials, even wrong ones."""
        is_registration = self.request is not None and self.request.method == "POST"
        return [] if is_registration else super().get_authenticators()

    def get_permissions(self) -> Sequence[Any]:
        is_registration = self.request is not None and self.request.method == "POST"
        return [AllowAny()] if is_registration else super().get_permissions()

    @extend_schema(parameters=[PageQuery], responses=answers({200: UserSerializer(many=True)}, 400, *READ))
    def get(self, request: Request) -> HttpResponseBase:
        """List every user.

        Their API tokens are left out. Where the server doesn't show contacts, `email` and `message_endpoint` of others
        are empty.
        """
        return listed(request, all_users(), each(UserSerializer, reader=caller(request)))

    @extend_schema(
        auth=[],
        request=RegisterRequest,
        responses=answers({201: OwnUserSerializer}, 400, 403, 406, 413, 415),
        examples=[NEW_USER],
    )
    def post(self, request: Request) -> Response:
        """Register a user.

        The answer holds its API token. The flag `client` is information only. So is `actor`, unless the server requires
        it: then it is accepted here but not set, and the staff set it. Notifications are sent to
        `message_endpoint`, an http(s) URL; without one, the user fetches them. The operator decides who may register:
        everyone, those whose `invitation` holds the code of an unused invitation, or nobody.
        """
        refuse_uninvited(**checked(InvitationCode, request.data))
        user = register_oneself(**checked(RegisterRequest, request.data))
        return Response(_own(user), status=status.HTTP_201_CREATED)


def _own(user: User) -> Any:
    """What only the user may know of itself."""
    return OwnUserSerializer(user, context={"token": api_token_of(user)}).data


class MyselfView(ApiView):
    scopes = {"PATCH": Scope.ACCOUNT, "DELETE": Scope.ACCOUNT}

    @extend_schema(responses=answers({200: MyselfSerializer}, *READ))
    def get(self, request: Request) -> Response:
        """Show the caller."""
        return Response(MyselfSerializer(caller(request)).data)

    @extend_schema(
        request=EditMyselfRequest,
        responses=answers({200: ChangedMyselfSerializer}, 403, *WRITE),
        examples=[NEW_ENDPOINT, NEW_PASSWORD, TRUST],
    )
    def patch(self, request: Request) -> Response:
        """Change the caller's account.

        Fields that are left out stay as they are. A new `password` needs the present one in `current_password`, and
        ends all tokens; the answer holds the new API token. `trusted_actors`: the actors whose trainings the caller
        takes part in without being asked, or `everyone`. It counts for invitations from now on.
        """
        values = checked(EditMyselfRequest, request.data, instance=caller(request), partial=True)
        password, current = values.pop("password", None), values.pop("current_password", None)
        if current is not None:
            _check_current_password(request, current)
        trusted = values.pop("trusted_actors", None)
        user = edit_oneself(user=caller(request), values=values, password=password, trusted_actors=trusted)
        if password is not None and request.auth is None:
            update_session_auth_hash(request._request, user)
        return Response(ChangedMyselfSerializer(user, context={"token": api_token_of(user)}).data)

    @extend_schema(responses=answers({200: sentence("Account removed!")}, 403, 409, *READ))
    def delete(self, request: Request) -> Response:
        """Delete the caller's account.

        Its models go with it, and the trainings that it runs or whose model is its own. From all other trainings it is
        removed. This can't be undone.
        """
        delete_user(user=caller(request), author=caller(request))
        return Response({"detail": "Account removed!"})


def _check_current_password(request: Request, password: str) -> None:
    """Raises ValidationError for a wrong password, and TooManyFailures after too many."""
    if not caller(request).has_usable_password():
        raise ValidationError({"current_password": [NONE_SET]})
    username, address = caller(request).username, client_address(request.META)
    if sign_in(username=username, password=password, address=address) is None:
        raise ValidationError({"current_password": [NOT_THE_PRESENT_ONE]})


class UserView(ApiView):
    @extend_schema(responses=answers({200: ShownUserSerializer}, 400, *READ))
    def get(self, request: Request, user_id: UUID) -> Response:
        """Show a user.

        Its API token is part of the answer only if the user is the caller. A token sees it only if it has the scope
        `account`.
        """
        user = get_user(user_id)
        is_own = user == caller(request) and has_scope(request, Scope.ACCOUNT)
        return Response(_own(user) if is_own else UserSerializer(user, context={"reader": caller(request)}).data)


class MyInvitationsView(ApiView):
    @extend_schema(
        parameters=[PageQuery], responses=answers({200: TrainingInvitationSerializer(many=True)}, 400, *READ)
    )
    def get(self, request: Request) -> HttpResponseBase:
        """List the invitations that the caller can accept.

        Oldest first. Those to trainings that have ended are left out.
        """
        return listed(request, invitations_of_user(caller(request)), each(TrainingInvitationSerializer))


class MyGroupsView(ApiView):
    @extend_schema(parameters=[PageQuery], responses=answers({200: GroupSerializer(many=True)}, 400, *READ))
    def get(self, request: Request) -> HttpResponseBase:
        """List the caller's groups."""
        return listed(request, groups_of_user(caller(request)), each(GroupSerializer))


class MyTrainingsView(ApiView):
    @extend_schema(parameters=[PageQuery], responses=answers({200: TrainingSerializer(many=True)}, 400, *READ))
    def get(self, request: Request) -> HttpResponseBase:
        """List the trainings in which the caller is actor or participant."""
        return listed(request, trainings_of_user(caller(request)), each(TrainingSerializer))
