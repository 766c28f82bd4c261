"""Tokens and invitations. What makes them work is shown once, on the page that follows the form."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone

from fl_server_api.admin.base import Row, SafeAdmin, operator_of
from fl_server_api.admin.columns import time_of
from fl_server_api.pages.html import NOTHING
from fl_server_core import policies
from fl_server_core.models import AccessToken, Invitation, Scope
from fl_server_core.services import invitations, tokens


class SecretAdmin(SafeAdmin[Row]):
    """Rows with a secret that is not stored: they can be made and deleted, and not changed."""

    is_editable = False
    made_once = ""
    """What the secret is called."""

    def hint_for(self, request: HttpRequest, row: Any) -> str:
        """What to do with the secret."""
        raise NotImplementedError

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:  # noqa: ARG002
        """Show the secret in the answer itself: a message would lie in a session or a cookie until it is read."""
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"{self.made_once.capitalize()} made",
            "secret": obj.secret,  # left there by save_model
            "hint": self.hint_for(request, obj),
        }
        return TemplateResponse(request, "admin/fl_server_core/secret.html", context)  # which no browser keeps


class TokenForm(forms.ModelForm[AccessToken]):
    scopes = forms.MultipleChoiceField(
        choices=Scope.choices,
        initial=[Scope.READ.value, Scope.WRITE.value],
        widget=forms.CheckboxSelectMultiple,
    )

    class Meta:
        model = AccessToken
        fields = ["user", "name", "scopes", "expires_at"]
        labels = {"expires_at": "Expires"}


@admin.register(AccessToken)
class TokenAdmin(SecretAdmin[AccessToken]):
    made_once = "token"
    form = TokenForm
    autocomplete_fields = ("user",)
    created = time_of("created_at", "created")
    used = time_of("last_used_at", "last used")
    expires = time_of("expires_at", "expires")
    list_display = ("name", "user", "scope_names", "created", "used", "expires")
    list_select_related = ("user",)
    list_filter = ("created_at", "last_used_at")
    search_fields = ("name", "user__username")
    search_help_text = "Name, user or the beginning of an id"
    date_hierarchy = "created_at"
    ordering = ("-created_at",)

    def get_fields(self, request: HttpRequest, obj: AccessToken | None = None) -> Any:  # noqa: ARG002
        if obj is None:
            return ("user", "name", "scopes", "expires_at")
        return ("id", "user", "name", "scope_names", "created", "used", "expires")

    def get_readonly_fields(self, request: HttpRequest, obj: AccessToken | None = None) -> Any:
        return () if obj is None else self.get_fields(request, obj)

    @admin.display(description="scopes")
    def scope_names(self, row: AccessToken) -> str:
        return ", ".join(row.scopes) or NOTHING

    def has_add_permission(self, request: HttpRequest) -> bool:
        return super().has_add_permission(request) and policies.may_hold_tokens(operator_of(request))

    def has_delete_permission(self, request: HttpRequest, obj: AccessToken | None = None) -> bool:
        may_manage = obj is None or policies.may_manage_account(operator_of(request), obj.user)
        return super().has_delete_permission(request, obj) and may_manage

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:  # noqa: ARG002
        wanted = {name: form.cleaned_data[name] for name in ("user", "name", "scopes", "expires_at")}
        token, obj.secret = tokens.make_token(**wanted, author=operator_of(request))
        obj.pk = token.pk

    def hint_for(self, request: HttpRequest, row: AccessToken) -> str:  # noqa: ARG002
        return f"Programs send it as “Authorization: Token …” and act as {row.user}."

    def delete_model(self, request: HttpRequest, obj: AccessToken) -> None:
        tokens.end_token(token_id=obj.pk, user=obj.user, author=operator_of(request))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[AccessToken]) -> None:
        for token in list(queryset.select_related("user")):
            self.delete_model(request, token)


class InvitationForm(forms.ModelForm[Invitation]):
    days = forms.IntegerField(
        min_value=1, max_value=invitations.MAX_DAYS, initial=invitations.DEFAULT_DAYS, label="Valid for, in days"
    )

    class Meta:
        model = Invitation
        fields = ["note"]


@admin.register(Invitation)
class InvitationAdmin(SecretAdmin[Invitation]):
    made_once = "invitation"
    form = InvitationForm
    created = time_of("created_at", "made")
    expires = time_of("expires_at", "expires")
    used = time_of("used_at", "used")
    list_display = ("status", "note", "author", "created", "expires", "used", "used_by")
    list_display_links = ("status", "note")
    list_select_related = ("author", "used_by")
    list_filter = (("used_at", admin.EmptyFieldListFilter), "created_at")
    search_fields = ("note", "author__username", "used_by__username")
    search_help_text = "Note, author, user or the beginning of an id"
    date_hierarchy = "created_at"
    ordering = ("-created_at",)

    def get_fields(self, request: HttpRequest, obj: Invitation | None = None) -> Any:  # noqa: ARG002
        if obj is None:
            return ("note", "days")
        return ("id", "status", "note", "author", "created", "expires", "used", "used_by")

    def get_readonly_fields(self, request: HttpRequest, obj: Invitation | None = None) -> Any:
        return () if obj is None else self.get_fields(request, obj)

    @admin.display(description="status", ordering="used_at")
    def status(self, row: Invitation) -> str:
        if row.used_at is not None:
            return "used"
        return "expired" if row.expires_at <= timezone.now() else "open"

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:  # noqa: ARG002
        days, note = form.cleaned_data["days"], form.cleaned_data["note"]
        made, obj.secret = invitations.invite(author=operator_of(request), days=days, note=note)
        obj.pk = made.pk

    def hint_for(self, request: HttpRequest, row: Any) -> str:
        page = request.build_absolute_uri("/invitation/")
        return f"Give it to one person, or send this link, which shows how to register: {page}#{row.secret}"

    def delete_model(self, request: HttpRequest, obj: Model) -> None:
        self.delete_queryset(request, Invitation.objects.filter(pk=obj.pk))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Invitation]) -> None:
        found = Invitation.objects.filter(pk__in=list(queryset.values_list("pk", flat=True)))
        invitations.withdraw_invitations(invitations=found, author=operator_of(request))
