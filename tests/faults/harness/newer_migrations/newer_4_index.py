from django.db import migrations, models

from fl_server_core.operations import AddIndexWithoutLock


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("fl_server_core", "newer_3_delivery")]

    operations = [AddIndexWithoutLock("delivery", models.Index(fields=["remark"], name="delivery_by_remark"))]
