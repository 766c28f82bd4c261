"""What the pickles of a model's files name: what torch.load would import where the model is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fl_server_core.archive import ArchiveError
from fl_server_core.models.model import GlobalModel, Model
from fl_server_core.selectors.models import global_of
from fl_server_core.services.files import open_stored

if TYPE_CHECKING:
    from django.db.models.fields.files import FieldFile


def names_of(model: Model) -> dict[str, Any]:
    """`globals` of the weights, and `preprocessing_globals`: "module.name" each, sorted; None without such a file.

    An update has its global model's file. Found at the upload; of a model that is older, now, and written down.
    """
    base = global_of(model)
    known = base.pickled_names
    if known is None:
        files = {"weights": base.weights_file, "preprocessing": base.preprocessing_file}
        known = {part: _names_in(file) for part, file in files.items() if file}
        GlobalModel.objects.non_polymorphic().filter(pk=base.pk, pickled_names=None).update(pickled_names=known)
    return {"globals": known.get("weights"), "preprocessing_globals": known.get("preprocessing")}


def _names_in(file: FieldFile) -> list[str] | None:
    try:
        with open_stored(file) as archive:
            return sorted(archive.globals)
    except (ArchiveError, FileNotFoundError):  # a script's file, or one that is lost
        return None
