"""docker-compose.yml as it stands, run by Docker. `make test-compose` gives these tests a network of their own."""
