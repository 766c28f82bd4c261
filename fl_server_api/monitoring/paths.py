"""The paths of the probes, and where processes share figures. Imports nothing: not the library that counts, either."""

LIVEZ, READYZ, METRICS = "/livez", "/readyz", "/metrics"
FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Names the folder in which several processes share what they count. The library reads it when it is imported."""
PATHS = frozenset({LIVEZ, READYZ, METRICS})


def is_probe(path: str) -> bool:
    """Is it asked by a program that watches the server?"""
    return path in PATHS
