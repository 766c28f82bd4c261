"""The paths of the probes. Free of Django: the front asks at every request."""

LIVEZ, READYZ, METRICS = "/livez", "/readyz", "/metrics"
PATHS = frozenset({LIVEZ, READYZ, METRICS})


def is_probe(path: str) -> bool:
    """Is it asked by a program that watches the server?"""
    return path in PATHS
