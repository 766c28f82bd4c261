from __future__ import annotations

from django.http.response import HttpResponseBase
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from fl_server_api.listing import PageQuery, each, listed
from fl_server_api.openapi import READ, WRITE, answers
from fl_server_api.serializers.generic import checked
from fl_server_api.serializers.user import GroupSerializer
from fl_server_api.views.base import ApiView, caller
from fl_server_core.selectors.groups import all_groups, get_changeable_group, get_group_of
from fl_server_core.services.groups import create_group, delete_group, rename_group

GROUP = OpenApiExample("A group", request_only=True, value={"name": "radiology"})


class GroupsView(ApiView):
    @extend_schema(parameters=[PageQuery], responses=answers({200: GroupSerializer(many=True)}, 400, 403, *READ))
    def get(self, request: Request) -> HttpResponseBase:
        """List all groups.

        For staff who may view groups.
        """
        return listed(request, all_groups(caller(request)), each(GroupSerializer))

    @extend_schema(request=GroupSerializer, responses=answers({201: GroupSerializer}, *WRITE), examples=[GROUP])
    def post(self, request: Request) -> Response:
        """Make a group.

        You don't become a member of it.
        """
        group = create_group(**checked(GroupSerializer, request.data))
        return Response(GroupSerializer(group).data, status=status.HTTP_201_CREATED)


class GroupView(ApiView):
    @extend_schema(responses=answers({200: GroupSerializer}, 400, 403, 404, *READ))
    def get(self, request: Request, group_id: int) -> Response:
        """Show a group.

        For its members, and staff who may view groups.
        """
        return Response(GroupSerializer(get_group_of(group_id, caller(request))).data)

    @extend_schema(
        request=GroupSerializer, responses=answers({200: GroupSerializer}, 403, 404, *WRITE), examples=[GROUP]
    )
    def put(self, request: Request, group_id: int) -> Response:
        """Rename a group.

        For its members, unless it carries permissions or has members of the staff; then for staff who may change it.
        """
        return self._rename(request, group_id, partial=False)

    @extend_schema(
        request=GroupSerializer, responses=answers({200: GroupSerializer}, 403, 404, *WRITE), examples=[GROUP]
    )
    def patch(self, request: Request, group_id: int) -> Response:
        """Rename a group, or, without a name, leave it as it is.

        For its members, unless it carries permissions or has members of the staff; then for staff who may change it.
        """
        return self._rename(request, group_id, partial=True)

    @extend_schema(request=None, responses=answers({204: None}, 400, 403, 404, *READ))
    def delete(self, request: Request, group_id: int) -> Response:
        """Remove a group.

        For its members, unless it carries permissions or has members of the staff; then for staff who may delete it.
        """
        delete_group(group_id=group_id, user=caller(request))
        return Response(status=status.HTTP_204_NO_CONTENT)

    def _rename(self, request: Request, group_id: int, partial: bool) -> Response:
        user = caller(request)
        group = get_changeable_group(group_id, user)
        values = checked(GroupSerializer, request.data, instance=group, partial=partial)
        return Response(GroupSerializer(rename_group(group_id=group_id, user=user, **values)).data)
