from django.db import migrations

from tests.faults.harness.newer_migrations import remark


class Migration(migrations.Migration):
    dependencies = [("fl_server_core", "newer_1_expand")]

    operations = [remark("submission")]
