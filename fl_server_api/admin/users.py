from __future__ import annotations

import copy
from collections.abc import Iterable
from functools import partial
from typing import Any, TypeAlias, TypedDict

from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.forms import AdminPasswordChangeForm
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django_stubs_ext import WithAnnotations

from fl_server_api.admin.base import SafeAdmin, number_of, operator_of
from fl_server_api.admin.columns import TrailField, time_of
from fl_server_api.admin.html import list_link
from fl_server_api.pages.html import NOTHING
from fl_server_core import policies
from fl_server_core.models import AccessToken, Event, Metric, Model, Training, User
from fl_server_core.policies import PRIVILEGES
from fl_server_core.services import accounts, notification_secrets, tokens, users


class UserColumns(TypedDict):
    acts_in: int
    takes_part_in: int


UserRow: TypeAlias = "WithAnnotations[User, UserColumns]"


class PasswordForm(AdminPasswordChangeForm):  # type: ignore[type-arg]  # generic only in the stubs
    """Django's form, saved by a service."""

    def __init__(self, author: User, *args: Any, **kwargs: Any) -> None:
        self.author = author
        super().__init__(*args, **kwargs)

    def save(self, commit: bool = True) -> User:  # noqa: ARG002  part of the form's interface
        password = self.cleaned_data["password1"] if self.cleaned_data["set_usable_password"] else None
        return users.set_password(user_id=self.user.pk, author=self.author, password=password)


@admin.register(User)
class UserAdmin(TrailField, SafeAdmin[User], DjangoUserAdmin[User]):
    """Accounts. Only superusers change superusers and privileges."""

    list_display = (
        "username", "roles", "endpoint", "acts_in", "takes_part_in", "access", "seen", "joined",
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
    search_help_text = "Name, email, endpoint or the beginning of an id"
    date_hierarchy = "date_joined"
    readonly_fields = ("id", "seen", "joined", "tokens_link", "events_link", "trail_link")
    actions = ("renew_tokens", "rotate_secrets")
    fieldsets = (
        (None, {"fields": ("id", "username", "password", "first_name", "last_name", "email")}),
        ("Federated learning", {"fields": ("actor", "client", "message_endpoint")}),
        ("Permissions", {"fields": ("is_active", *PRIVILEGES)}),
        ("History", {"fields": ("seen", "joined", "tokens_link", "events_link", "trail_link")}),
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

    @admin.display(description="role", ordering="actor")
    def roles(self, row: UserRow) -> str:
        roles = [name for name, is_meant in (("actor", row.actor), ("participant", row.client)) if is_meant]
        return ", ".join(roles) or NOTHING

    @admin.display(description="access", ordering="is_staff")
    def access(self, row: UserRow) -> str:
        if not row.is_active:
            return "none: not active"
        return "superuser" if row.is_superuser else "staff" if row.is_staff else "API only"

    @admin.display(description="notifications go to", ordering="message_endpoint")
    def endpoint(self, row: UserRow) -> str:
        return row.message_endpoint or "fetched by the user"

    @admin.display(description="actor of", ordering="acts_in")
    def acts_in(self, row: UserRow) -> int:
        return row.acts_in

    @admin.display(description="participant of", ordering="takes_part_in")
    def takes_part_in(self, row: UserRow) -> int:
        return row.takes_part_in

    @admin.display(description="tokens")
    def tokens_link(self, row: UserRow) -> str:
        return list_link(AccessToken, str(row.tokens.count()), user__id__exact=row.pk)

    @admin.display(description="events")
    def events_link(self, row: UserRow) -> str:
        return list_link(Event, str(row.events.count()), user__id__exact=row.pk)

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> tuple[str, ...]:
        fields = tuple(super().get_readonly_fields(request, obj))
        return fields if policies.may_give_privileges(operator_of(request)) else (*fields, *PRIVILEGES)

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_change_permission(request, obj) and self._may_manage(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_delete_permission(request, obj) and self._may_manage(request, obj, "delete")

    def has_renew_permission(self, request: HttpRequest) -> bool:
        return policies.may_hold_tokens(operator_of(request))

    @staticmethod
    def _may_manage(request: HttpRequest, obj: User | None, action: str = "change") -> bool:
        return obj is None or policies.may_manage_account(operator_of(request), obj, action)

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        operator = operator_of(request)
        if change:
            values = {name: form.cleaned_data[name] for name in form.changed_data}
            if values:
                users.edit_user(user_id=obj.pk, author=operator, values=values)
            return
        values = {name: form.cleaned_data[name] for name in ("username", "actor", "client", "message_endpoint")}
        password = form.cleaned_data["password1"] if form.cleaned_data["set_usable_password"] else None
        obj.pk = users.register_user(**values, password=password, author=operator).pk

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """The service has saved groups and permissions, too."""

    def user_change_password(
        self,
        request: HttpRequest,
        id: str,  # noqa: A002  the name is Django's
        form_url: str = "",
    ) -> HttpResponse:
        account = self.get_object(request, id)
        if account is not None and not policies.may_set_password(operator_of(request), account):
            raise PermissionDenied
        # Django gives the form only the user: a copy of this page, for this request, adds who changes the password.
        page = copy.copy(self)
        page.change_password_form = partial(PasswordForm, operator_of(request))
        return self.answer_refusals(request, super(UserAdmin, page).user_change_password, id, form_url)

    @admin.action(permissions=["renew"], description="Renew the API tokens of the selected users")
    def renew_tokens(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        selected = list(queryset)
        for user in selected:
            tokens.renew_api_token(user=user, author=operator_of(request))
        text = f"{len(selected)} tokens renewed. Their users find them at /api/users/<id>/, signed in by password."
        self.message_user(request, text, messages.SUCCESS)

    @admin.action(permissions=["change"], description="Rotate the notification secrets of the selected users")
    def rotate_secrets(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        author = operator_of(request)
        done = [
            self.is_done(request, notification_secrets.rotate_notification_secret, user=user, author=author)
            for user in list(queryset)
        ]
        text = f"Notification secrets rotated: {sum(done)} of {len(done)}. The old ones sign, too, for a day."
        self.message_user(request, text, messages.SUCCESS)

    def dependents(self, rows: list[User]) -> Iterable[QuerySet[Any]]:
        return (
            Model.objects.non_polymorphic().filter(owner__in=rows),
            Training.objects.filter(Q(actor__in=rows) | Q(model__owner__in=rows)).distinct(),
            Metric.objects.filter(reporter__in=rows),
        )

    def delete_model(self, request: HttpRequest, obj: User) -> None:
        accounts.delete_user(user=obj, author=operator_of(request))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        for user in list(queryset):
            accounts.delete_user(user=user, author=operator_of(request))
