from django.db import migrations, models

from tests.faults.harness.newer_migrations import NEWEST, remark


class Migration(migrations.Migration):
    """A table, and a column of another one: the version before inserts rows without it."""

    dependencies = [("fl_server_core", NEWEST)]

    operations = [
        migrations.CreateModel("Remark", [("id", models.BigAutoField(primary_key=True))]),
        remark("event"),
    ]
