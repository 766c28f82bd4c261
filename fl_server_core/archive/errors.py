class ArchiveError(ValueError):
    """A file is refused. The text is one sentence that may be shown to whoever uploaded it."""


def quoted(name: str) -> str:
    """A name from a file, short and printable, for use in a sentence."""
    return repr(name if len(name) <= 80 else f"{name[:77]}...")
