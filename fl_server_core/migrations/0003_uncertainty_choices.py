from django.db import migrations, models

from fl_server_core.registry import uncertainty_choices


class Migration(migrations.Migration):
    dependencies = [("fl_server_core", "0002_problems_and_deleted_updates")]

    operations = [
        migrations.AlterField(
            model_name="training",
            name="uncertainty_method",
            field=models.CharField(choices=uncertainty_choices, default="NONE", max_length=32),
        ),
    ]
