from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from fl_server_api.openapi import READ, WRITE, answers
from fl_server_api.serializers.generic import EmptyRequest, checked
from fl_server_api.serializers.user import SecretsSerializer
from fl_server_api.views.base import JSONView, caller
from fl_server_core.models import Scope, User
from fl_server_core.selectors.notification_secrets import notification_secrets_of
from fl_server_core.services.notification_secrets import rotate_notification_secret

EMPTY = {"application/json": EmptyRequest}


class NotificationSecretsView(JSONView):
    scopes = {"GET": Scope.ACCOUNT, "POST": Scope.ACCOUNT}

    @extend_schema(responses=answers({200: SecretsSerializer}, 403, *READ))
    def get(self, request: Request) -> Response:
        """Show the secrets with which notifications to the caller are signed.

        The newest first. Each of them signs every notification that is sent to the caller's `message_endpoint`, as
        Standard Webhooks defines it. A token needs the scope `account`.
        """
        return _shown(caller(request), status.HTTP_200_OK)

    @extend_schema(request=EMPTY, responses=answers({201: SecretsSerializer}, 403, *WRITE))
    def post(self, request: Request) -> Response:
        """Rotate the caller's notification secret.

        The answer lists the new secret first. The old one signs, too, for a day. At most five secrets sign at a time:
        the oldest ends early if the secret is rotated more often.
        """
        checked(EmptyRequest, request.data)
        user = rotate_notification_secret(user=caller(request), author=caller(request))
        return _shown(user, status.HTTP_201_CREATED)


def _shown(user: User, status_code: int) -> Response:
    secrets = {"secrets": notification_secrets_of(user)}
    return Response(SecretsSerializer(secrets).data, status=status_code, headers={"Cache-Control": "no-store"})
