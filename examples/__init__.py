"""Two experiments from the literature, each with a real server, and a participant with differential privacy."""
