from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import status
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from fl_server_api.openapi import READ, WRITE, answers
from fl_server_api.serializers.generic import checked
from fl_server_api.serializers.training import TrainingSerializer
from fl_server_api.serializers.training_invitation import TrainingInvitationSerializer
from fl_server_api.serializers.user import (
    EditMyselfRequest,
    GroupSerializer,
    MyselfSerializer,
    OwnUserSerializer,
    RegisterRequest,
    UserSerializer,
)
from fl_server_api.views.base import ApiView, caller
from fl_server_core.selectors.groups import groups_of_user
from fl_server_core.selectors.training_invitations import invitations_of_user
from fl_server_core.selectors.trainings import trainings_of_user
from fl_server_core.selectors.users import all_users, get_user
from fl_server_core.services.trust import set_trusted_actors
from fl_server_core.services.users import register_user

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


TRUST = OpenApiExample("Trust one actor", request_only=True, value={"trusted_actors": [ACTOR]})


class UsersView(ApiView):
    def get_authenticators(self) -> list[BaseAuthentication]:
        """Registering ignores credentials, even wrong ones."""
        is_registration = self.request is not None and self.request.method == "POST"
        return [] if is_registration else super().get_authenticators()

    def get_permissions(self) -> Sequence[Any]:
        is_registration = self.request is not None and self.request.method == "POST"
        return [AllowAny()] if is_registration else super().get_permissions()

    @extend_schema(responses=answers({200: UserSerializer(many=True)}, *READ))
    def get(self, _request: Request) -> Response:
        """List every user.

        Their API tokens are left out.
        """
        return Response(UserSerializer(all_users(), many=True).data)

    @extend_schema(
        auth=[],
        request=RegisterRequest,
        responses=answers({201: OwnUserSerializer}, 400, 406, 413, 415),
        examples=[NEW_USER],
    )
    def post(self, request: Request) -> Response:
        """Register a user.

        The answer holds its API token. The flag `client` is information only. So is `actor`, unless the server wants
        actors to be flagged: then it is accepted here but not set, and the staff set it. Notifications are sent to
        `message_endpoint`, an http(s) URL; without one, the user fetches them.
        """
        user = register_user(**checked(RegisterRequest, request.data))
        return Response(OwnUserSerializer(user).data, status=status.HTTP_201_CREATED)


class MyselfView(ApiView):
    @extend_schema(responses=answers({200: MyselfSerializer}, *READ))
    def get(self, request: Request) -> Response:
        """Show the caller."""
        return Response(MyselfSerializer(caller(request)).data)

    @extend_schema(
        request={"application/json": EditMyselfRequest},
        responses=answers({200: MyselfSerializer}, *WRITE),
        examples=[TRUST],
    )
    def patch(self, request: Request) -> Response:
        """Change the caller's account.

        `trusted_actors`: the actors whose trainings the caller takes part in without being asked, or `everyone`. It
        counts for invitations from now on.
        """
        values, user = checked(EditMyselfRequest, request.data), caller(request)
        set_trusted_actors(user=user, actors=values["trusted_actors"])
        return Response(MyselfSerializer(user).data)


class UserView(ApiView):
    @extend_schema(responses=answers({200: OwnUserSerializer}, 400, *READ))
    def get(self, request: Request, user_id: UUID) -> Response:
        """Show a user.

        Its API token is part of the answer only if the user is the caller.
        """
        user = get_user(user_id)
        serializer = OwnUserSerializer if user == caller(request) else UserSerializer
        return Response(serializer(user).data)


class MyInvitationsView(ApiView):
    @extend_schema(responses=answers({200: TrainingInvitationSerializer(many=True)}, *READ))
    def get(self, request: Request) -> Response:
        """List the invitations that the caller can accept.

        Oldest first. Those to trainings that have ended are left out.
        """
        return Response(TrainingInvitationSerializer(invitations_of_user(caller(request)), many=True).data)


class MyGroupsView(ApiView):
    @extend_schema(responses=answers({200: GroupSerializer(many=True)}, *READ))
    def get(self, request: Request) -> Response:
        """List the caller's groups."""
        return Response(GroupSerializer(groups_of_user(caller(request)), many=True).data)


class MyTrainingsView(ApiView):
    @extend_schema(responses=answers({200: TrainingSerializer(many=True)}, *READ))
    def get(self, request: Request) -> Response:
        """List the trainings in which the caller is actor or participant."""
        return Response(TrainingSerializer(trainings_of_user(caller(request)), many=True).data)
