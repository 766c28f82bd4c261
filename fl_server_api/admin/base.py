"""What all admin pages share: refusals become messages, and every change goes through a service."""

from __future__ import annotations

import string
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar, cast
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.utils import quote
from django.contrib.admin.views.main import SEARCH_VAR, ChangeList
from django.contrib.auth import get_permission_codename
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import Count, Model, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.urls import URLPattern, path, reverse

from fl_server_api.admin.csv_download import ACTION as CSV_ACTION
from fl_server_api.admin.csv_download import download_csv
from fl_server_api.admin.deeds import TellingAdmin, note_deed, note_refused
from fl_server_api.pages.html import NOTHING
from fl_server_core.exceptions import DomainError
from fl_server_core.models import User

Row = TypeVar("Row", bound=Model)
SHORTEST_PREFIX = 4  # digits; shorter ones would match half the table
FILTERS = {
    "at": "time", "created at": "created", "last update": "changed", "last used at": "last used",
    "notification type": "type", "object kind": "object", "opened at": "opened", "preprocessing file": "preprocessing",
    "sent at": "sent", "submitted at": "submitted", "used at": "used", "weights file": "weights",
}  # fmt: skip
"""What filters are called, by the name of their column. In the models, labels would take a migration."""
LONGEST_INTEGER = 18  # digits that every integer column can be compared with


def uuid_range(text: str) -> tuple[UUID, UUID] | None:
    """The first and last UUID that begin with the text, with or without dashes. None: no UUID begins with it."""
    digits = text.strip().replace("-", "")
    if not SHORTEST_PREFIX <= len(digits) <= 32 or not set(digits) <= set(string.hexdigits):
        return None
    return UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))


def _is_incomparable(key: str, text: str) -> bool:
    """Would a database refuse to compare a column with this text?"""
    return "\0" in text or (key != SEARCH_VAR and text.isdigit() and len(text) > LONGEST_INTEGER)


def operator_of(request: HttpRequest) -> User:
    """The user who is signed in: the admin requires it."""
    return cast(User, request.user)


def number_of(rows: QuerySet[Any], by: str) -> Coalesce:
    """An expression: how many of these rows point to the outer row through their field `by`."""
    counted = rows.order_by().filter(**{by: OuterRef("pk")}).values(by).annotate(number=Count("pk"))
    return Coalesce(Subquery(counted.values("number")), 0)


class SafeAdmin(TellingAdmin[Row]):
    """Finds rows by the beginning of a UUID, accepts any address, and shows a service's refusal as a message.

    uuid_search_fields: searched, besides `search_fields`, if the text could begin a UUID.
    is_addable, is_editable, is_deletable: if False, no permission allows it.
    csv_fields: fields of a row that a download as CSV has besides the list's columns.
    """

    is_addable = True
    is_editable = True
    is_deletable = True

    uuid_search_fields: Sequence[str] = ("id",)
    csv_fields: Sequence[str] = ()
    empty_value_display = NOTHING
    list_per_page = 50
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER  # each facet costs a query for every choice

    def get_urls(self) -> list[URLPattern]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_csv"
        return [path("csv/", self.admin_site.admin_view(self.csv_view), name=name), *super().get_urls()]

    def csv_view(self, request: HttpRequest) -> HttpResponseBase:
        """All rows that the list would show with the same filters, as CSV."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if self._asks_for_incomparable(request):
            return HttpResponseRedirect(self._list_url())
        try:
            table = download_csv(self, request, self.get_changelist_instance(request).queryset)
        except IncorrectLookupParameters:
            return HttpResponseRedirect(self._list_url())
        note_deed(CSV_ACTION.replace("_", " "), self.model, [("", "the list")])
        return table

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if self._asks_for_incomparable(request):
            return HttpResponseRedirect(self._list_url())
        if request.POST.get("action") == CSV_ACTION and not request.POST.getlist(ACTION_CHECKBOX_NAME):
            return HttpResponseRedirect(f"{self._list_url()}csv/?{request.GET.urlencode()}")  # none selected: all
        title = str(self.opts.verbose_name_plural)
        context = {
            "title": title[:1].upper() + title[1:],
            "csv_url": f"{self._list_url()}csv/",
            **(extra_context or {}),
        }
        return super().changelist_view(request, context)

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        found = super().get_changelist_instance(request)
        for one in found.filter_specs:
            one.title = FILTERS.get(str(one.title), one.title)
        return found

    def _asks_for_incomparable(self, request: HttpRequest) -> bool:
        """If so, a message says what can't be searched for."""
        asks = any(_is_incomparable(key, text) for key, texts in request.GET.lists() for text in texts)
        if asks:
            self.message_user(request, "You can't search for null characters or very long numbers.", messages.ERROR)
        return asks

    def _list_url(self) -> str:
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Saves everything that was edited, or nothing."""
        return self.answer_refusals(request, super().changeform_view, object_id, form_url, extra_context)

    def answer_refusals(self, request: HttpRequest, view: Callable[..., HttpResponse], *args: Any) -> HttpResponse:
        """A view's answer. If a service refuses, show why and return to the page."""
        try:
            return view(request, *args)
        except DomainError as error:
            note_deed("change", self.model, [(args[0] or "", "")], is_refused=True)
            self.message_user(request, error.message, messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Row], search_term: str
    ) -> tuple[QuerySet[Row], bool]:
        term = search_term.replace("\0", "")  # the autocomplete view does not check it
        found, may_repeat = super().get_search_results(request, queryset, term)
        span = uuid_range(term)
        if span is None:
            return found, may_repeat
        wanted = Q(pk__in=found.order_by().values("pk"))
        for field in self.uuid_search_fields:
            wanted |= Q((f"{field}__range", span))
        return queryset.filter(wanted), False

    def response_action(self, request: HttpRequest, queryset: QuerySet[Row]) -> HttpResponseBase | None:  # type: ignore[override]  # None, as in Django: go back to the list
        keys, action = request.POST.getlist(ACTION_CHECKBOX_NAME), request.POST.get("action", "")
        try:
            for key in keys:
                self.opts.pk.run_validators(self.opts.pk.to_python(key))
            if action != "delete_selected":
                response = super().response_action(request, queryset)
                if action in self.get_actions(request):
                    note_deed(action.replace("_", " "), self.model, [(key, "") for key in keys])
                return response
            with transaction.atomic():  # deletes all of them or none
                return super().response_action(request, queryset)
        except DomainError as error:
            verb = "delete" if action == "delete_selected" else action.replace("_", " ")
            note_deed(verb, self.model, [(key, "") for key in keys], is_refused=True)
            self.message_user(request, error.message, messages.ERROR)
        except ValidationError:
            self.message_user(request, "The selection is not a list of rows.", messages.ERROR)
        return None

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        try:
            return super().delete_view(request, object_id, extra_context)
        except DomainError as error:
            note_deed("delete", self.model, [(object_id, "")], is_refused=True)
            self.message_user(request, error.message, messages.ERROR)
            return HttpResponseRedirect(change_url(self.model, object_id))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.is_addable and super().has_add_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Row | None = None) -> bool:
        return self.is_editable and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Row | None = None) -> bool:
        return self.is_deletable and super().has_delete_permission(request, obj)

    def dependents(self, rows: list[Row]) -> Iterable[QuerySet[Any]]:  # noqa: ARG002  for those who override it
        """The rows of other kinds that are deleted together with these."""
        return ()

    def is_done(
        self, request: HttpRequest, step: Callable[..., object], *, key: object = None, **arguments: Any
    ) -> bool:
        """Call a service. If it refuses, show why and return False.

        key: of the row, for the trail, where no argument of the service is it.
        """
        try:
            step(**arguments)
        except DomainError as error:
            note_refused(arguments, key)
            self.message_user(request, error.message, messages.ERROR)
            return False
        return True

    def get_deleted_objects(
        self, objs: QuerySet[Row] | Sequence[Row], request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        """Count the dependent rows. Django would load and list each of perhaps a million.

        Django would also require the permission to delete rows of view-only kinds.
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
    """Rows that only the server writes."""

    is_addable = is_editable = is_deletable = False


def change_url(model: type[Model], key: object) -> str:
    """The address of a row's page."""
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[quote(str(key))])
