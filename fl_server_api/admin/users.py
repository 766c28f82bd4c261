from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol

from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from rest_framework.authtoken import admin as _token_pages  # noqa: F401  registers what is taken off below
from rest_framework.authtoken.models import Token, TokenProxy

from fl_server_api.admin.base import SafeAdmin, number_of
from fl_server_api.admin.html import NOTHING, time_of
from fl_server_core.models import Metric, Model, Training, User
from fl_server_core.services import accounts

# Its list shows every user's token in full. A token is seen, by superusers, on the user's page, and renewed there.
admin.site.unregister(TokenProxy)

PRIVILEGES = ("is_staff", "is_superuser", "groups", "user_permissions")

if TYPE_CHECKING:
    _DjangoUserAdmin = DjangoUserAdmin[User]
else:
    _DjangoUserAdmin = DjangoUserAdmin


class UserRow(Protocol):
    pk: Any
    message_endpoint: str
    acts_in: int
    takes_part_in: int


@admin.register(User)
class UserAdmin(SafeAdmin[User], _DjangoUserAdmin):
    """Accounts. Who is no superuser can neither change superusers nor give privileges."""

    list_display = (
        "username", "actor", "client", "endpoint", "acts_in", "takes_part_in", "is_active", "is_staff",
        "seen", "joined",
    )  # fmt: skip
    list_filter = (
        "actor",
        "client",
        ("message_endpoint", admin.EmptyFieldListFilter),
        "is_active",
        "is_staff",
        "is_superuser",
        "groups",
    )
    search_fields = ("username", "first_name", "last_name", "email", "message_endpoint")
    search_help_text = "Name, e-mail, endpoint or the beginning of an id"
    date_hierarchy = "date_joined"
    readonly_fields = ("id", "seen", "joined", "token")
    actions = ("renew_tokens",)
    fieldsets = (
        (None, {"fields": ("id", "username", "password", "first_name", "last_name", "email")}),
        ("Federated learning", {"fields": ("actor", "client", "message_endpoint")}),
        ("Permissions", {"fields": ("is_active", *PRIVILEGES)}),
        ("Dates", {"fields": ("seen", "joined")}),
    )
    add_fieldsets = (
        (None, {"classes": ("wide",), "fields": ("username", "usable_password", "password1", "password2")}),
        ("Federated learning", {"classes": ("wide",), "fields": ("actor", "client", "message_endpoint")}),
    )

    seen = time_of("last_login", "last login")
    joined = time_of("date_joined", "joined")

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return (
            super()
            .get_queryset(request)
            .annotate(
                acts_in=number_of(Training.objects.all(), "actor"),
                takes_part_in=number_of(Training.participants.through.objects.all(), "user"),
            )
        )

    @admin.display(description="notifications go to", ordering="message_endpoint")
    def endpoint(self, row: UserRow) -> str:
        return row.message_endpoint or "fetched by the user"

    @admin.display(description="actor of", ordering="acts_in")
    def acts_in(self, row: UserRow) -> int:
        return row.acts_in

    @admin.display(description="participant of", ordering="takes_part_in")
    def takes_part_in(self, row: UserRow) -> int:
        return row.takes_part_in

    @admin.display(description="API token")
    def token(self, row: UserRow) -> str:
        return Token.objects.filter(user_id=row.pk).values_list("key", flat=True).first() or NOTHING

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        sets = super().get_fieldsets(request, obj)
        # Whoever knows a token is that user.
        return (*sets, ("Access", {"fields": ("token",)})) if obj and request.user.is_superuser else sets

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> tuple[str, ...]:
        fields = tuple(super().get_readonly_fields(request, obj))
        return fields if request.user.is_superuser else (*fields, *PRIVILEGES)

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_change_permission(request, obj) and self._may_touch(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_delete_permission(request, obj) and self._may_touch(request, obj)

    def has_renew_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_superuser)

    @staticmethod
    def _may_touch(request: HttpRequest, obj: User | None) -> bool:
        return obj is None or not obj.is_superuser or bool(request.user.is_superuser)

    @admin.action(permissions=["renew"], description="Renew the API tokens of the selected users")
    def renew_tokens(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        users = list(queryset)
        for user in users:
            accounts.renew_token(user=user)
        self.message_user(request, f"{len(users)} tokens renewed; they are on the users' pages.", messages.SUCCESS)

    def dependents(self, rows: list[User]) -> Iterable[QuerySet[Any]]:
        return (
            Model.objects.non_polymorphic().filter(owner__in=rows),
            Training.objects.filter(Q(actor__in=rows) | Q(model__owner__in=rows)).distinct(),
            Metric.objects.filter(reporter__in=rows),
        )

    def delete_model(self, request: HttpRequest, obj: User) -> None:  # noqa: ARG002
        accounts.delete_user(user=obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> None:  # noqa: ARG002
        for user in list(queryset):
            accounts.delete_user(user=user)
