"""What the checks find."""

from fl_server import checks


def ids() -> list[str | None]:
    """The ids of all findings, but for those about this machine's sandbox."""
    return [message.id for check in checks.ALL if check is not checks.check_sandbox for message in check()]
