"""The pages of Django's admin, where operators watch and steer the server.

Importing the package registers every page. Every change goes through the services, as in the API.
"""

from django.contrib import admin

from fl_server_api.admin import alerts, identities, models, records, rounds, secrets, trail, trainings, users, versions
from fl_server_api.admin.csv_download import ACTION as CSV_ACTION
from fl_server_api.admin.csv_download import download_csv

admin.site.add_action(download_csv, CSV_ACTION)

__all__ = [
    "alerts",
    "identities",
    "models",
    "records",
    "rounds",
    "secrets",
    "trail",
    "trainings",
    "users",
    "versions",
]
