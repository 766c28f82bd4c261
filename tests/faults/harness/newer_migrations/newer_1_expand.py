from django.db import migrations, models

from tests.faults.harness.newer_migrations import NEWEST

TABLES = ("user", "globalmodel", "localmodel", "modelversion", "training", "round", "submission", "delivery", "event")


class Migration(migrations.Migration):
    """A column in every table that a training writes to: the version before inserts rows without it."""

    dependencies = [("fl_server_core", NEWEST)]

    operations = [
        *(migrations.AddField(table, "remark", models.CharField(max_length=32, db_default="none")) for table in TABLES),
        migrations.CreateModel("Remark", [("id", models.BigAutoField(primary_key=True))]),
    ]
