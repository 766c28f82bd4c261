"""Does what the server needs work? Asked from outside, at any time, in bounded time."""
