"""Opens a file of tensors, whichever of the two formats it has."""

import os

from fl_server_core.archive.archive import Archive, map_file
from fl_server_core.archive.limits import DEFAULT_LIMITS, Limits
from fl_server_core.archive.safetensors import LENGTH, SafetensorsFile, is_safetensors


def open_tensors(
    source: str | os.PathLike[str] | bytes | memoryview,
    *,
    limits: Limits = DEFAULT_LIMITS,
    like: Archive | None = None,
) -> Archive | SafetensorsFile:
    """Open a PyTorch archive as `open_archive` does, or a safetensors file.

    Raises ArchiveError if it is neither; OSError if it cannot be opened.
    """
    content = source if isinstance(source, bytes | memoryview) else map_file(source)
    if is_safetensors(bytes(content[: LENGTH + 1]), len(content)):
        return SafetensorsFile(content, limits)
    return Archive(content, limits, like)
