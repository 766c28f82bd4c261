"""Who signs in to which account at an OpenID Connect provider."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from fl_server_api.admin.base import SafeAdmin, operator_of
from fl_server_api.admin.columns import time_of
from fl_server_core import policies
from fl_server_core.models import Identity
from fl_server_core.services import identities


@admin.register(Identity)
class IdentityAdmin(SafeAdmin[Identity]):
    """Superusers link and unlink: whoever has an account's identity signs in as its user."""

    is_editable = False
    uuid_search_fields = ("user__id",)
    autocomplete_fields = ("user",)
    created = time_of("created_at", "linked")
    list_display = ("subject", "user", "issuer", "created")
    list_select_related = ("user",)
    list_filter = ("created_at",)
    search_fields = ("subject", "user__username", "issuer")
    search_help_text = "Subject, user, issuer or the beginning of a user's id"
    date_hierarchy = "created_at"
    ordering = ("-id",)
    fields = ("user", "issuer", "subject")

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {"issuer": settings.FL_OIDC_ISSUER, **super().get_changeform_initial_data(request)}

    def has_add_permission(self, request: HttpRequest) -> bool:
        return super().has_add_permission(request) and policies.may_link_identities(operator_of(request))

    def has_delete_permission(self, request: HttpRequest, obj: Identity | None = None) -> bool:
        may_link = policies.may_link_identities(operator_of(request))
        return super().has_delete_permission(request, obj) and may_link

    def save_model(self, request: HttpRequest, obj: Identity, form: Any, change: bool) -> None:  # noqa: ARG002
        wanted = {name: form.cleaned_data[name] for name in ("user", "issuer", "subject")}
        obj.pk = identities.link_identity(**wanted, author=operator_of(request)).pk

    def delete_model(self, request: HttpRequest, obj: Identity) -> None:
        identities.unlink_identity(identity=obj, author=operator_of(request))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Identity]) -> None:
        for identity in list(queryset):
            identities.unlink_identity(identity=identity, author=operator_of(request))
