"""The command `fl-server`.

A package of its own: importing `fl_server` chooses the production settings, unless a command has chosen others before.
"""
