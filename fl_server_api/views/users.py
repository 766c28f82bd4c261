from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.http.response import HttpResponseBase
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import status
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from fl_server_api.listing import PageQuery, each, listed
from fl_server_api.openapi import READ, answers
from fl_server_api.serializers.generic import checked
from fl_server_api.serializers.training import TrainingSerializer
from fl_server_api.serializers.user import GroupSerializer, OwnUserSerializer, RegisterRequest, UserSerializer
from fl_server_api.views.base import ApiView, caller
from fl_server_core.selectors.groups import groups_of_user
from fl_server_core.selectors.trainings import trainings_of_user
from fl_server_core.selectors.users import all_users, get_user
from fl_server_core.services.users import register_user

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

        Their API tokens are left out.
        """
        return listed(request, all_users(), each(UserSerializer))

    @extend_schema(
        auth=[],
        request=RegisterRequest,
        responses=answers({201: OwnUserSerializer}, 400, 406, 413, 415),
        examples=[NEW_USER],
    )
    def post(self, request: Request) -> Response:
        """Register a user.

        The answer holds its API token. The flags `actor` and `client` are information only. Notifications are sent to
        `message_endpoint`, an http(s) URL; without one, the user fetches them.
        """
        user = register_user(**checked(RegisterRequest, request.data))
        return Response(OwnUserSerializer(user).data, status=status.HTTP_201_CREATED)


class MyselfView(ApiView):
    @extend_schema(responses=answers({200: UserSerializer}, *READ))
    def get(self, request: Request) -> Response:
        """Show the caller."""
        return Response(UserSerializer(caller(request)).data)


class UserView(ApiView):
    @extend_schema(responses=answers({200: OwnUserSerializer}, 400, *READ))
    def get(self, request: Request, user_id: UUID) -> Response:
        """Show a user.

        Its API token is part of the answer only if the user is the caller.
        """
        user = get_user(user_id)
        serializer = OwnUserSerializer if user == caller(request) else UserSerializer
        return Response(serializer(user).data)


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
