from __future__ import annotations

from typing import Any

from django.contrib.auth import password_validation
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from fl_server_api.serializers.generic import StrictSerializer
from fl_server_api.serializers.training import identifiers
from fl_server_core import policies
from fl_server_core.models import User
from fl_server_core.selectors.training_invitations import EVERYONE, trusted_actors_of
from fl_server_core.selectors.users import has_lookalike
from fl_server_core.services.users import ALIKE

USER_FIELDS = ["username", "first_name", "last_name", "email", "id", "actor", "client", "message_endpoint"]
CONTACTS = ("email", "message_endpoint")
ACTORS_SCHEMA = {
    "oneOf": [
        {"type": "array", "items": {"type": "string", "format": "uuid"}},
        {"type": "string", "enum": [EVERYONE]},
    ]
}
USERNAME_LENGTH = 150
NOTHING_TO_CHANGE = "Name at least one field to change."
PRESENT_ONE_NEEDED = "Give your present password, too."
INVITATION_LENGTH = 200
PASSWORD_LENGTH = 1024  # hashing takes its time even for a password that nobody types


class AccountSerializer(serializers.ModelSerializer[User]):
    """A user, as it sees itself."""

    email = serializers.CharField(read_only=True, help_text="May be empty, or not shown to others.")

    class Meta:
        model = User
        fields = USER_FIELDS
        read_only_fields = USER_FIELDS


class UserSerializer(AccountSerializer):
    """A user, as others see it: perhaps without its email address and endpoint. context: reader."""

    def to_representation(self, user: User) -> dict[str, Any]:
        shown = super().to_representation(user)
        if not policies.may_see_contacts(self.context["reader"], user):
            shown.update(dict.fromkeys(CONTACTS, ""))
        return shown


class OwnUserSerializer(AccountSerializer):
    """What only the user itself may know: the API token too."""

    token = serializers.SerializerMethodField()

    class Meta(AccountSerializer.Meta):
        fields = [*USER_FIELDS, "token"]
        read_only_fields = fields

    def get_token(self, _user: User) -> str:
        return str(self.context["token"])


class ShownUserSerializer(AccountSerializer):
    """A user as it is shown to the caller; for the schema alone. Only the caller itself has a token in it."""

    token = serializers.CharField(required=False, help_text="Only if this user is the caller.")

    class Meta(AccountSerializer.Meta):
        fields = [*USER_FIELDS, "token"]
        read_only_fields = USER_FIELDS


class MyselfSerializer(AccountSerializer):
    """What the user itself is shown of its settings: whose trainings it takes part in without being asked."""

    trusted_actors = serializers.SerializerMethodField()

    class Meta(AccountSerializer.Meta):
        fields = [*USER_FIELDS, "trusted_actors"]
        read_only_fields = fields

    @extend_schema_field(ACTORS_SCHEMA)
    def get_trusted_actors(self, user: User) -> Any:
        trusted = trusted_actors_of(user)
        return trusted if isinstance(trusted, str) else [str(actor) for actor in trusted]


@extend_schema_serializer(component_name="NotificationSecrets")
class SecretsSerializer(serializers.Serializer[Any]):
    """With what notifications to the caller are signed."""

    secrets = serializers.ListField(child=serializers.CharField(), help_text="The newest first.")


class ChangedMyselfSerializer(MyselfSerializer, OwnUserSerializer):
    """The account after a change, which may have made another API token."""

    class Meta(AccountSerializer.Meta):
        fields = [*USER_FIELDS, "trusted_actors", "token"]
        read_only_fields = fields


@extend_schema_field(ACTORS_SCHEMA)
class TrustedActorsField(serializers.Field[Any, Any, Any, Any]):
    """A list of user ids, or `everyone`."""

    def to_internal_value(self, data: Any) -> Any:
        return EVERYONE if data == EVERYONE else identifiers().run_validation(data)

    def to_representation(self, value: Any) -> Any:
        return value


class InvitationCode(serializers.Serializer[Any]):
    """What says whether the rest of a registration is looked at."""

    invitation = serializers.CharField(default="", allow_blank=True, max_length=INVITATION_LENGTH)


class RegisterRequest(serializers.ModelSerializer[User]):
    """A new account. Fields that are not named here are ignored."""

    password = serializers.CharField(
        max_length=PASSWORD_LENGTH, trim_whitespace=False, write_only=True, style={"input_type": "password"}
    )
    invitation = serializers.CharField(
        required=False,
        allow_blank=True,
        max_length=INVITATION_LENGTH,
        write_only=True,
        help_text="The code of an invitation, where the server asks for one.",
    )

    class Meta:
        model = User
        fields = [
            "username", "password", "message_endpoint", "first_name", "last_name", "email", "actor", "client",
            "invitation",
        ]  # fmt: skip

    def validate_username(self, value: str) -> str:
        name = User.normalize_username(value)
        if len(name) > USERNAME_LENGTH:
            raise serializers.ValidationError(f"Ensure this field has no more than {USERNAME_LENGTH} characters.")
        if has_lookalike(name):
            raise serializers.ValidationError(ALIKE)
        return name

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        others = {name: value for name, value in attrs.items() if name not in ("password", "invitation")}
        _validate_password(attrs["password"], User(**others))
        return attrs


class EditMyselfRequest(StrictSerializer, serializers.ModelSerializer[User]):
    """What an account changes of itself. A new password needs the present one.

    A field without a declaration here is one of the account's columns, and reaches `edit_oneself` as it is.
    """

    password = serializers.CharField(
        required=False,
        max_length=PASSWORD_LENGTH,
        trim_whitespace=False,
        write_only=True,
        style={"input_type": "password"},
        help_text="A new password. It ends all tokens.",
    )
    current_password = serializers.CharField(
        required=False,
        max_length=PASSWORD_LENGTH,
        trim_whitespace=False,
        write_only=True,
        style={"input_type": "password"},
        help_text="The present password. Required with a new one.",
    )
    trusted_actors = TrustedActorsField(
        required=False, help_text="Actors whose trainings you take part in without being asked; `everyone`: all."
    )

    class Meta:
        model = User
        fields = [
            "first_name", "last_name", "email", "message_endpoint", "password", "current_password", "trusted_actors",
        ]  # fmt: skip

    def validate_email(self, value: str) -> str:
        return User.objects.normalize_email(value)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not attrs:
            raise serializers.ValidationError(NOTHING_TO_CHANGE)
        if "password" in attrs:
            if "current_password" not in attrs:
                raise serializers.ValidationError({"current_password": [PRESENT_ONE_NEEDED]})
            _validate_password(attrs["password"], self.instance)
        return attrs


def _validate_password(password: str, user: User | None) -> None:
    try:
        password_validation.validate_password(password, user)
    except ValidationError as error:
        raise serializers.ValidationError({"password": error.messages}) from None


class GroupSerializer(serializers.ModelSerializer[Group]):
    """A group of users, as it is sent and answered."""

    class Meta:
        model = Group
        fields = ["id", "name"]
