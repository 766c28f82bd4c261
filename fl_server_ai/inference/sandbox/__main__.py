"""`python -m fl_server_ai.inference.sandbox`: started by the server, not by hand."""

from fl_server_ai.inference.sandbox.zygote import main

main()
