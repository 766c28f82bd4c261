"""What stands between the sockets and Django: one thread moves the bytes of all connections, in both directions.

Django's threads get requests that have arrived completely, and leave as soon as there is an answer; a slow client holds
a connection, and no thread. docs/decisions/front.md says why.
"""
