"""What all admin pages have in common: no request ends in an error page, and nothing dies unannounced."""

from __future__ import annotations

import string
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar, cast
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.utils import quote
from django.contrib.auth import get_permission_codename
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Count, Model, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse

from fl_server_api.admin.generics import ModelAdmin
from fl_server_core.exceptions import DomainError
from fl_server_core.models import User

Row = TypeVar("Row", bound=Model)
SHORTEST_PREFIX = 4  # digits; shorter ones would match half the table


def uuid_range(text: str) -> tuple[UUID, UUID] | None:
    """The first and the last UUID that begin with a text, with or without dashes; None where none can."""
    digits = text.strip().replace("-", "")
    if not SHORTEST_PREFIX <= len(digits) <= 32 or not set(digits) <= set(string.hexdigits):
        return None
    return UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))


def operator_of(request: HttpRequest) -> User:
    """Who is at work: the admin lets in nobody without an account."""
    return cast(User, request.user)


def number_of(rows: QuerySet[Any], by: str) -> Coalesce:
    """How many rows go with an outer row, as an expression; they are tied to it through their field `by`."""
    counted = rows.order_by().filter(**{by: OuterRef("pk")}).values(by).annotate(number=Count("pk"))
    return Coalesce(Subquery(counted.values("number")), 0)


class SafeAdmin(ModelAdmin[Row]):
    """Searches that take the beginning of a UUID, requests that no database chokes on, refusals as messages.

    uuid_search_fields: where else than in `search_fields` a search looks if its text begins a UUID.
    is_addable, is_editable, is_deletable: False: not even by those who have the permission.
    """

    is_addable = True
    is_editable = True
    is_deletable = True

    uuid_search_fields: Sequence[str] = ("id",)
    list_per_page = 50
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER  # each facet costs a query for every choice

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if any("\0" in text for _key, texts in request.GET.lists() for text in texts):
            # PostgreSQL refuses to compare with it.
            self.message_user(request, "Null characters cannot be searched for.", messages.ERROR)
            return HttpResponseRedirect(request.path)
        return super().changelist_view(request, extra_context)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Row], search_term: str
    ) -> tuple[QuerySet[Row], bool]:
        term = search_term.replace("\0", "")  # the autocomplete view passes on what it was sent
        found, may_repeat = super().get_search_results(request, queryset, term)
        span = uuid_range(term)
        if span is None:
            return found, may_repeat
        wanted = Q(pk__in=found.order_by().values("pk"))
        for field in self.uuid_search_fields:
            wanted |= Q((f"{field}__range", span))
        return queryset.filter(wanted), False

    def response_action(self, request: HttpRequest, queryset: QuerySet[Row]) -> HttpResponseBase | None:  # type: ignore[override]  # None, as in Django: go back to the list
        try:
            for key in request.POST.getlist(ACTION_CHECKBOX_NAME):
                self.opts.pk.run_validators(self.opts.pk.to_python(key))
            if request.POST.get("action") != "delete_selected":
                return super().response_action(request, queryset)
            with transaction.atomic():  # all of them or none, and the log of it
                return super().response_action(request, queryset)
        except DomainError as error:
            self.message_user(request, error.message, messages.ERROR)
        except ValidationError:
            self.message_user(request, "What was selected is no list of rows.", messages.ERROR)
        return None

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        try:
            return super().delete_view(request, object_id, extra_context)
        except DomainError as error:
            self.message_user(request, error.message, messages.ERROR)
            return HttpResponseRedirect(change_url(self.model, object_id))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.is_addable and super().has_add_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Row | None = None) -> bool:
        return self.is_editable and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Row | None = None) -> bool:
        return self.is_deletable and super().has_delete_permission(request, obj)

    def dependents(self, rows: list[Row]) -> Iterable[QuerySet[Any]]:  # noqa: ARG002  for those who override it
        """The rows of other kinds that are removed together with these."""
        return ()

    def get_deleted_objects(
        self, objs: QuerySet[Row] | Sequence[Row], request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        """Count what goes, where Django would load and list each of perhaps a million rows.

        It would also ask for the permission to delete rows of the kinds that can only be looked at.
        """
        rows = list(objs)
        counts = {str(self.opts.verbose_name_plural): len(rows)}
        refused = {str(self.opts.verbose_name) for row in rows if not self.has_delete_permission(request, row)}
        for dependent in self.dependents(rows):
            options = dependent.model._meta
            number = dependent.count()
            if number:
                counts[str(options.verbose_name_plural)] = number
            page = self.admin_site._registry.get(dependent.model)
            codename = f"{options.app_label}.{get_permission_codename('delete', options)}"
            is_asked_for = not isinstance(page, SafeAdmin) or page.is_deletable
            if number and is_asked_for and not request.user.has_perm(codename):
                refused.add(str(options.verbose_name))
        return [str(row) for row in rows], counts, refused, []


class ViewOnlyAdmin(SafeAdmin[Row]):
    """Rows that the server writes and nobody else."""

    is_addable = is_editable = is_deletable = False


def change_url(model: type[Model], key: object) -> str:
    """The address of a row's page."""
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[quote(str(key))])
