from __future__ import annotations

from typing import Any

from rest_framework import serializers

from fl_server_api.serializers.generic import StrictSerializer
from fl_server_core.models import AccessToken, Scope


class TokenSerializer(serializers.ModelSerializer[AccessToken]):
    """A token, without its key."""

    scopes = serializers.ListField(child=serializers.ChoiceField(choices=Scope.choices), read_only=True)
    is_api_token = serializers.BooleanField(
        read_only=True, help_text="Whether it is the account's API token, which the user's page shows."
    )

    class Meta:
        model = AccessToken
        fields = ["id", "name", "scopes", "is_api_token", "created_at", "expires_at", "last_used_at"]
        read_only_fields = fields


class NewTokenSerializer(TokenSerializer):
    """A token that has just been made, with the key that is shown this once."""

    token = serializers.SerializerMethodField(help_text="The key. It can't be read again.")

    class Meta(TokenSerializer.Meta):
        fields = [*TokenSerializer.Meta.fields, "token"]
        read_only_fields = fields

    def get_token(self, _row: AccessToken) -> str:
        return str(self.context["token"])


class MakeTokenRequest(StrictSerializer):
    """A new token."""

    name = serializers.CharField(max_length=100, help_text="What will use it.")
    scopes = serializers.ListField(
        child=serializers.ChoiceField(choices=Scope.choices),
        allow_empty=False,
        required=False,
        help_text="`read`: read everything that the user may read, and ask for inferences. `write`: change it. "
        "`account`: manage the account and its tokens. By default `read` and `write`.",
    )
    expires_at = serializers.DateTimeField(required=False, allow_null=True, help_text="Never, if it is left out.")

    def validate_scopes(self, value: list[Any]) -> list[str]:
        return list(dict.fromkeys(value))
