"""The OpenAPI document, as docs/openapi.yaml keeps it. The operator's settings have no say in it.

python -m tests.api.openapi_document > docs/openapi.yaml
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import django
import yaml

DOCS = Path(__file__).resolve().parents[2] / "docs"
KEPT = DOCS / "openapi.yaml"
RELEASED = DOCS / "openapi-released.yaml"
"""The document of the last release. It is replaced by KEPT when a release is made, and not before."""


def generated() -> str:
    """The document of this code, as YAML. Django must be set up."""
    from drf_spectacular.generators import SchemaGenerator
    from drf_spectacular.renderers import OpenApiYamlRenderer

    schema = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    text: bytes = OpenApiYamlRenderer().render(schema, renderer_context={})  # type: ignore[no-untyped-call]
    return text.decode()


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


if __name__ == "__main__":
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    django.setup()
    sys.stdout.write(generated())
