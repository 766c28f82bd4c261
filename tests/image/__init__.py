"""Tests of the container image. `make test-image` builds it and runs them; `make test` leaves them out."""
