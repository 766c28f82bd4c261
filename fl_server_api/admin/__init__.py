"""The pages of Django's admin on which operators watch and steer.

Importing the package registers every page. Rows that make up a training's course are to be looked at only: what may be
changed goes through the services, as in the API.
"""

from django.contrib import admin

from fl_server_api.admin import models, records, trainings, users

admin.site.site_header = "Federated learning server"
admin.site.site_title = "Federated learning server"
admin.site.index_title = "What the server holds"
admin.site.site_url = None  # there is no page outside the admin to go back to

__all__ = ["models", "records", "trainings", "users"]
