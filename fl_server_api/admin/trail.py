"""The trail: view only."""

from __future__ import annotations

from django.contrib import admin
from django.utils.safestring import SafeString

from fl_server_api.admin.base import ViewOnlyAdmin
from fl_server_api.admin.columns import time_of
from fl_server_api.admin.html import figures_line, figures_list, link
from fl_server_api.pages.html import NOTHING
from fl_server_core.models import AuditEntry, AuditSeal, Training


@admin.register(AuditEntry)
class AuditEntryAdmin(ViewOnlyAdmin[AuditEntry]):
    """Who did what. `manage.py audit verify` tells whether it is all there and as it was written."""

    happened = time_of("at", "time")
    list_display = (
        "happened", "who", "credential", "address", "verb", "object", "outcome", "status", "count", "more",
    )  # fmt: skip
    list_filter = ("verb", "object_kind", "outcome", "status", "credential", "at")
    search_fields = ("account_name", "token_name", "object_name", "object_id__startswith", "address__startswith")
    search_help_text = "Account, token, object, the beginning of an address, or of the id of any of these or a training"
    uuid_search_fields = ("account_id", "token_id", "training_id")
    date_hierarchy = "at"
    ordering = ("-id",)
    fields = readonly_fields = (
        "happened", "verb", "object_kind", "object_name", "object_id", "training_link", "round", "outcome", "status",
        "count", "account_name", "account_id", "credential", "token_name", "token_id", "address", "details_text",
        "position",
    )  # fmt: skip

    @admin.display(description="account", ordering="account_name")
    def who(self, row: AuditEntry) -> str:
        return row.account_name or (NOTHING if row.account_id is None else str(row.account_id)[:8])

    @admin.display(description="object", ordering="object_id")
    def object(self, row: AuditEntry) -> str:
        return " ".join(filter(None, (row.object_kind, row.object_name, row.object_id[:8]))) or NOTHING

    @admin.display(description="details")
    def more(self, row: AuditEntry) -> str:
        return figures_line({name: value for name, value in row.details.items() if name != "accounts"})

    @admin.display(description="training")
    def training_link(self, row: AuditEntry) -> SafeString | str:
        if row.training_id is None or not Training.objects.filter(pk=row.training_id).exists():
            return str(row.training_id or NOTHING)
        return link(Training, row.training_id, row.training_id)

    @admin.display(description="details")
    def details_text(self, row: AuditEntry) -> SafeString | str:
        return figures_list(row.details)

    @admin.display(description="position in the chain")
    def position(self, row: AuditEntry) -> str:
        seal = AuditSeal.objects.filter(entry_id=row.pk).first()
        return "not sealed yet" if seal is None else f"{seal.position}, hash {seal.hash}"
