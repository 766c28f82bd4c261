from django.db import migrations, models

from fl_server_core.operations import AddIndexWithoutLock


class Migration(migrations.Migration):
    atomic = False
    dependencies = [
        ("fl_server_core", "0014_settled_deliveries"),
    ]

    operations = [
        AddIndexWithoutLock(
            model_name="round",
            index=models.Index(fields=["closed_at"], name="round_closed_at"),
        ),
    ]
