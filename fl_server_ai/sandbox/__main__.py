"""`python -m fl_server_ai.sandbox`: started by `process.Zygote`, not by hand."""

from fl_server_ai.sandbox.zygote import main

main()
