"""The pages of Django's admin, where operators watch and steer the server.

Importing the package registers every page. Every change goes through the services, as in the API.
"""

from fl_server_api.admin import identities, models, records, rounds, secrets, trail, trainings, users, versions

__all__ = ["identities", "models", "records", "rounds", "secrets", "trail", "trainings", "users", "versions"]
