"""Environment variables that begin like the server's settings, and whose they are."""

import re
from collections.abc import Mapping

from fl_server.settings.config_file import ENVIRONMENT_ONLY, not_a_setting, setting_names

PREFIX = "FL_"
OF_OTHERS = frozenset(
    {
        *("FL_REDIS_PASSWD", "FL_WEB_PORT", "FL_DOMAIN", "FL_TLS", "FL_UPSTREAM"),  # Compose and Caddy
        *("FL_SERVER", "FL_TOKEN", "FL_PASSWORD"),  # the client package
        "FL_TEST_DATABASE",  # the tests
    }
)
"""Not the server's, but often in the same environment."""
SERVICE_LINK = re.compile(r"_SERVICE_HOST|_SERVICE_PORT(_\w+)?|_PORT_\d+_(TCP|UDP|SCTP)(_\w+)?")
"""How the names end that Kubernetes adds for each service, such as one called fl-server."""


def unknown_variables(environ: Mapping[str, str]) -> list[str]:
    """A sentence for each variable that nobody reads."""
    found = [name for name in sorted(environ) if name.upper().startswith(PREFIX)]
    if not found:
        return []
    names = setting_names()
    known = {*names, *ENVIRONMENT_ONLY, *OF_OTHERS}
    return [
        not_a_setting(name, names)
        for name in found
        if name.removesuffix("_FILE") not in known and not _is_service_link(name, environ[name])
    ]


def _is_service_link(name: str, value: str) -> bool:
    is_address = name.endswith("_PORT") and re.match(r"(tcp|udp|sctp)://", value)
    return bool(is_address or re.fullmatch(f".+({SERVICE_LINK.pattern})", name))
