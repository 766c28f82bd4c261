"""How a file is refused."""

import pytest

from fl_server_core.archive import ArchiveError, open_archive
from fl_server_core.archive.limits import Limits


def refusal(content: bytes, limits: Limits | None = None) -> str:
    """The sentence by which a file is refused when it is opened or read."""
    with pytest.raises(ArchiveError) as caught:
        open_archive(content, limits=limits or Limits()).verify_checksums()
    sentence = str(caught.value)
    assert sentence.endswith(".")
    assert sentence.isprintable()
    assert len(sentence) < 300
    return sentence
