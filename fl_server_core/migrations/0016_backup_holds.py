import uuid

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("fl_server_core", "0015_closed_rounds"),
    ]

    operations = [
        migrations.CreateModel(
            name="BackupHold",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("until", models.DateTimeField()),
            ],
            options={
                "default_permissions": (),
            },
        ),
    ]
