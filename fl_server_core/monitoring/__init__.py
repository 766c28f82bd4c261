"""Whether the parts of the server work, found out in bounded time."""
