"""Reads and rewrites PyTorch archives without running them. Needs neither torch nor a model's classes."""

from fl_server_core.archive.archive import Archive, open_archive
from fl_server_core.archive.checks import check_compatible, check_finite
from fl_server_core.archive.dangers import dangerous_globals
from fl_server_core.archive.description import ArchiveKind, TensorFile, TensorInfo
from fl_server_core.archive.difference import ArchiveDifference, TensorDifference, archive_difference
from fl_server_core.archive.errors import ArchiveError
from fl_server_core.archive.export import SafetensorsExport
from fl_server_core.archive.opening import open_tensors
from fl_server_core.archive.policy import foreign_globals
from fl_server_core.archive.safetensors import SafetensorsFile
from fl_server_core.archive.vector import write_vector
from fl_server_core.archive.writer import ArchiveWriter, check_writable, copy_tensors

__all__ = [
    "Archive",
    "ArchiveDifference",
    "ArchiveError",
    "ArchiveKind",
    "ArchiveWriter",
    "SafetensorsExport",
    "SafetensorsFile",
    "TensorDifference",
    "TensorFile",
    "TensorInfo",
    "archive_difference",
    "check_compatible",
    "check_finite",
    "check_writable",
    "copy_tensors",
    "dangerous_globals",
    "foreign_globals",
    "open_archive",
    "open_tensors",
    "write_vector",
]
