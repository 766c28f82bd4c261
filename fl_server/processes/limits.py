"""What a process of the server asks of the operating system."""

import resource
from typing import Any

MANY_FILES = 65_536


def allow_many_files(**_: Any) -> None:
    """Raise the limit on open files as far as it may be: closing a round holds every participant's update open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MANY_FILES if hard == resource.RLIM_INFINITY else min(hard, MANY_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
