from __future__ import annotations

from uuid import UUID

from django.http.response import HttpResponseBase
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from fl_server_api.listing import PageQuery, each, listed
from fl_server_api.openapi import KEEP, READ, WRITE, answers
from fl_server_api.serializers.alert import AlertRuleRequest, AlertRuleSerializer
from fl_server_api.serializers.generic import checked
from fl_server_api.views.base import ApiView, caller
from fl_server_core.selectors.alerts import alert_rules_of, get_alert_rule_of
from fl_server_core.services.alert_rules import create_alert_rule, delete_alert_rule, edit_alert_rule

NEW_RULE = OpenApiExample(
    "A round waits",
    request_only=True,
    value={
        "condition": "waiting",
        "minutes": 30,
        "trainings": "own",
        "channel": "webhook",
        "url": "https://chat.example.org/hooks/1",
    },
)
SWITCH_OFF = OpenApiExample("Switch it off", request_only=True, value={"active": False})


class AlertRulesView(ApiView):
    @extend_schema(parameters=[PageQuery], responses=answers({200: AlertRuleSerializer(many=True)}, 400, 403, *READ))
    def get(self, request: Request) -> HttpResponseBase:
        """List the caller's alert rules.

        Oldest first.
        """
        return listed(request, alert_rules_of(caller(request)), each(AlertRuleSerializer))

    @extend_schema(
        request=AlertRuleRequest,
        responses=answers({201: AlertRuleSerializer}, 403, *KEEP),
        examples=[NEW_RULE],
    )
    def post(self, request: Request) -> Response:
        """Make an alert rule.

        The caller is told when a training has failed (`failed`), has finished or was stopped (`finished`), or when a
        round has waited for `minutes` (`waiting`): of the trainings whose actor it is (`own`), in which it takes part
        (`taking_part`), of `one`, or, for staff, of `all`. By `email` to the account's address, or by a `webhook`: a
        POST to `url`. The first message comes at once. After it, what happens within `period_minutes` is collected.
        """
        rule = create_alert_rule(user=caller(request), **checked(AlertRuleRequest, request.data))
        return Response(AlertRuleSerializer(rule).data, status=status.HTTP_201_CREATED)


class AlertRuleView(ApiView):
    @extend_schema(responses=answers({200: AlertRuleSerializer}, 400, 403, *READ))
    def get(self, request: Request, rule_id: UUID) -> Response:
        """Show one of the caller's alert rules.

        With the time of its last message, and why the last attempt failed, if it did.
        """
        return Response(AlertRuleSerializer(get_alert_rule_of(caller(request), rule_id)).data)

    @extend_schema(
        request=AlertRuleRequest, responses=answers({200: AlertRuleSerializer}, 403, *WRITE), examples=[SWITCH_OFF]
    )
    def patch(self, request: Request, rule_id: UUID) -> Response:
        """Change one of the caller's alert rules.

        With another condition or other trainings, or switched on again, it tells of nothing earlier.
        """
        rule = get_alert_rule_of(caller(request), rule_id)
        values = checked(AlertRuleRequest, request.data, partial=True)
        changed = edit_alert_rule(rule_id=rule.pk, author=caller(request), **values)
        return Response(AlertRuleSerializer(changed).data)

    @extend_schema(responses=answers({204: OpenApiResponse(None, "The rule is gone.")}, 400, 403, *READ))
    def delete(self, request: Request, rule_id: UUID) -> Response:
        """Delete one of the caller's alert rules.

        What it has not told yet is not told.
        """
        rule = get_alert_rule_of(caller(request), rule_id)
        delete_alert_rule(rule_id=rule.pk, author=caller(request))
        return Response(status=status.HTTP_204_NO_CONTENT)
