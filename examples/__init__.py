"""A participant to copy, a demo, and two experiments from the literature, each with a real server."""
