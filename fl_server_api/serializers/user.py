from __future__ import annotations

from typing import Any

from django.contrib.auth import password_validation
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from rest_framework import serializers

from fl_server_core.models import User

USER_FIELDS = ["username", "first_name", "last_name", "email", "id", "actor", "client", "message_endpoint"]
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
