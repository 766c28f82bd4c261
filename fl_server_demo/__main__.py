"""`python -m fl_server_demo`: the demo."""

import sys

from fl_server_demo.demo import main

sys.exit(main())
