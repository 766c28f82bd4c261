"""A participant to copy, a demonstration, and two experiments of the literature, each against a real server."""
