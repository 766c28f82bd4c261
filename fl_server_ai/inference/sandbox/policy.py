"""Which models may be run at all. Asked by the server before it hands out a file, and again where it is loaded."""

from __future__ import annotations

import importlib.util
from collections.abc import Collection
from pathlib import Path

from fl_server_ai.inference.exceptions import ModelNotTrusted, ModelRunError
from fl_server_core.archive import ArchiveError, ArchiveKind, foreign_globals, open_archive


def has_torchvision() -> bool:
    """Is the optional package there? Without importing it, which would import torch."""
    return importlib.util.find_spec("torchvision") is not None


def trusted_modules(names: Collection[str]) -> list[str]:
    """The modules of trusted names: `module.Class`, `module:Class.Inner`, or all of a package as `package.*`."""
    # A use of getattr stands in parentheses: it is on something that is imported anyway.
    return [name.rpartition(":" if ":" in name else ".")[0] for name in names if "(" not in name]


def check_runnable(source: Path | bytes | memoryview, trusted: Collection[str]) -> ArchiveKind:
    """The kind of an archive that holds a module and whose pickle imports nothing but torch's own and `trusted` names.

    Raises:
        ModelNotTrusted: it names something else.
        ModelRunError: it is no such archive.
    """
    try:
        with open_archive(source) as archive:
            if not archive.is_model:
                raise ModelRunError("The file holds tensors, but no model that could be run.")
            kind = archive.kind
            foreign = foreign_globals(archive, trusted, torchvision=has_torchvision())
    except ArchiveError as error:
        raise ModelRunError(f"The model cannot be read: {error}") from error
    if any(name.startswith("torchvision.") for name in foreign) and not has_torchvision():
        raise ModelNotTrusted("The model needs the package torchvision, which this server does not have.")
    if foreign:
        raise ModelNotTrusted(
            f"The model names {', '.join(foreign[:5])}, which this server does not import: a model that is to be run"
            " is built of torch's own layers, saved as TorchScript, or names what the operator trusts"
            " (FL_TRUSTED_GLOBALS)."
        )
    return kind
