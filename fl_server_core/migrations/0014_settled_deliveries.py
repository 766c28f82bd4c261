from django.db import migrations, models

from fl_server_core.operations import AddIndexWithoutLock


class Migration(migrations.Migration):
    atomic = False
    dependencies = [
        ("fl_server_core", "0013_alert_rules"),
    ]

    operations = [
        AddIndexWithoutLock(
            model_name="delivery",
            index=models.Index(fields=["settled_at"], name="delivery_settled_at"),
        ),
    ]
