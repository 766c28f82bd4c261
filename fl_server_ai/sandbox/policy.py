"""Which models may be run at all. Asked before a file is handed to a process, and again where it is loaded."""

from __future__ import annotations

import importlib.util
from collections.abc import Collection
from pathlib import Path

from fl_server_ai.sandbox.errors import ModelNotTrusted, ModelRunError
from fl_server_core.archive import Archive, ArchiveError, ArchiveKind, foreign_globals, open_archive


def has_torchvision() -> bool:
    """Is the optional package there? Without importing it, which would import torch."""
    return importlib.util.find_spec("torchvision") is not None


def check_runnable(
    source: Path | bytes | memoryview, trusted: Collection[str], failed: Collection[str] = ()
) -> ArchiveKind:
    """The kind of an archive that holds a module and whose pickle imports only torch's own and `trusted` names.

    failed: modules of trusted names that could not be imported.

    Raises:
        ModelNotTrusted: it names something else, or something in a failed module.
        ModelRunError: the file is not an archive, or holds no module.
    """
    try:
        with open_archive(source) as archive:
            if not archive.is_model:
                raise ModelRunError("The file holds tensors, but no model that could be run.")
            _check_names(archive, trusted, failed)
            return archive.kind
    except ArchiveError as error:
        raise ModelRunError(f"The model cannot be read: {error}") from error


def _check_names(archive: Archive, trusted: Collection[str], failed: Collection[str]) -> None:
    foreign = foreign_globals(archive, trusted, torchvision=has_torchvision())
    if any(name.startswith("torchvision.") for name in foreign) and not has_torchvision():
        raise ModelNotTrusted("The model needs the package torchvision, which this server does not have.")
    if foreign:
        raise ModelNotTrusted(
            f"The model names {', '.join(foreign[:5])}, which this server does not import: a model that is to be run"
            " is built of torch's own layers, saved as TorchScript, or names what the operator trusts"
            " (FL_TRUSTED_GLOBALS)."
        )
    for name in foreign_globals(archive, torchvision=has_torchvision()) if failed else ():
        module = name.rpartition(":" if ":" in name else ".")[0]
        if any(f"{module}.".startswith(f"{one}.") for one in failed):
            raise ModelNotTrusted(f"The model needs the module {module}, which fails on import on this server.")
