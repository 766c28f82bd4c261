"""Prints what pyproject.toml requires, with the named extras: `requirements.py oidc s3`.

The image installs this list in a layer of its own. Other changes of pyproject.toml leave the layer as it is.
"""

import sys
import tomllib
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
wanted = [*project["dependencies"]]
for extra in sys.argv[1:]:
    wanted += project["optional-dependencies"][extra]
sys.stdout.writelines(f"{line}\n" for line in sorted(wanted))
