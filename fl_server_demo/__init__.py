"""A whole federated training on this machine, with real data: `fl-server demo`.

It needs the client package. The server's wheel brings it along, in a folder of its own: the client can be installed
beside the server, in any version, and neither touches the other's files.
"""

import sys
from pathlib import Path

_BUNDLED = str(Path(__file__).resolve().parent / "bundled")
if _BUNDLED not in sys.path:
    sys.path.insert(0, _BUNDLED)
