"""Two experiments from the literature, each with a real server."""
