"""`python -m fl_server_command`: the same as `fl-server`."""

import sys

from fl_server_command.main import main

sys.exit(main())
