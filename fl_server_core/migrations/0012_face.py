from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("fl_server_core", "0011_clean_bytes"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="metric",
            index=models.Index(fields=["model", "id"], name="metric_of_model"),
        ),
    ]
