from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What an honest archive never exceeds. Sizes in bytes."""

    file_size: int = 16 << 30
    records: int = 50_000
    record_name: int = 512
    pickle_size: int = 32 << 20
    header_size: int = 8 << 20
    """Of a safetensors file."""
    header_entries: int = 25_000
    """Tensors of a safetensors file: about as many as so many opcodes describe."""
    code_size: int = 32 << 20
    """All compressed records together, once inflated."""
    opcodes: int = 500_000
    nesting: int = 1_000
    """Containers within containers. Python's own pickler gives up at about a third of it."""
    module_depth: int = 128
    modules: int = 50_000
    """Visits: a module that is used twice counts twice, so that paths cannot explode."""
    globals: int = 1_000
    """Names of classes and functions, but for a TorchScript file's own classes. The largest models have some fifty."""
    tensors: int = 100_000
    tensor_name: int = 1_024
    dimensions: int = 32


DEFAULT_LIMITS = Limits()
