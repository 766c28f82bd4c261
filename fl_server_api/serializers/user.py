from __future__ import annotations

from typing import Any

from django.contrib.auth import password_validation
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from fl_server_api.serializers.generic import StrictSerializer
from fl_server_api.serializers.training import identifiers
from fl_server_core.models import User
from fl_server_core.selectors.training_invitations import EVERYONE, trusted_actors_of

USER_FIELDS = ["username", "first_name", "last_name", "email", "id", "actor", "client", "message_endpoint"]
ACTORS_SCHEMA = {
    "oneOf": [
        {"type": "array", "items": {"type": "string", "format": "uuid"}},
        {"type": "string", "enum": [EVERYONE]},
    ]
}
USERNAME_LENGTH = 150
PASSWORD_LENGTH = 1024  # hashing takes its time even for a password that nobody types


class UserSerializer(serializers.ModelSerializer[User]):
    """What everybody signed in may know of a user."""

    email = serializers.CharField(read_only=True, help_text="May be empty.")

    class Meta:
        model = User
        fields = USER_FIELDS
        read_only_fields = USER_FIELDS


class OwnUserSerializer(UserSerializer):
    """What only the user itself may know: the API token too."""

    token = serializers.CharField(source="auth_token.key", read_only=True, default=None)

    class Meta(UserSerializer.Meta):
        fields = [*USER_FIELDS, "token"]
        read_only_fields = fields


class MyselfSerializer(UserSerializer):
    """What the user itself is shown of its settings: whose trainings it takes part in without being asked."""

    trusted_actors = serializers.SerializerMethodField()

    class Meta(UserSerializer.Meta):
        fields = [*USER_FIELDS, "trusted_actors"]
        read_only_fields = fields

    @extend_schema_field(ACTORS_SCHEMA)
    def get_trusted_actors(self, user: User) -> Any:
        trusted = trusted_actors_of(user)
        return trusted if isinstance(trusted, str) else [str(actor) for actor in trusted]


@extend_schema_field(ACTORS_SCHEMA)
class TrustedActorsField(serializers.Field[Any, Any, Any, Any]):
    """A list of user ids, or `everyone`."""

    def to_internal_value(self, data: Any) -> Any:
        return EVERYONE if data == EVERYONE else identifiers().run_validation(data)

    def to_representation(self, value: Any) -> Any:
        return value


class EditMyselfRequest(StrictSerializer):
    """What the caller changes of its own account."""

    trusted_actors = TrustedActorsField(
        help_text="Actors whose trainings you take part in without being asked; `everyone`: all."
    )


class RegisterRequest(serializers.ModelSerializer[User]):
    """A new account. Fields that are not named here are ignored."""

    password = serializers.CharField(
        max_length=PASSWORD_LENGTH, trim_whitespace=False, write_only=True, style={"input_type": "password"}
    )

    class Meta:
        model = User
        fields = ["username", "password", "message_endpoint", "first_name", "last_name", "email", "actor", "client"]

    def validate_username(self, value: str) -> str:
        name = User.normalize_username(value)
        if len(name) > USERNAME_LENGTH:
            raise serializers.ValidationError(f"Ensure this field has no more than {USERNAME_LENGTH} characters.")
        return name

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        others = {name: value for name, value in attrs.items() if name != "password"}
        try:
            password_validation.validate_password(attrs["password"], User(**others))
        except ValidationError as error:
            raise serializers.ValidationError({"password": error.messages}) from None
        return attrs


class GroupSerializer(serializers.ModelSerializer[Group]):
    """A group of users, as it is sent and answered."""

    class Meta:
        model = Group
        fields = ["id", "name"]
