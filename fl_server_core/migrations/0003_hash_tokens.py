"""Tokens that were stored in clear stay valid, as digests; the table that held them goes."""

import hashlib
from uuid import UUID

from django.db import migrations


def take_over(apps, schema_editor):
    connection = schema_editor.connection
    with connection.cursor() as cursor:
        if "authtoken_token" not in connection.introspection.table_names(cursor):
            return
        cursor.execute('SELECT "key", user_id FROM authtoken_token')
        rows = cursor.fetchall()
    AccessToken = apps.get_model("fl_server_core", "AccessToken")
    AccessToken.objects.bulk_create(
        AccessToken(
            user_id=UUID(str(user_id)),
            name="API token of an earlier version",
            digest=hashlib.sha256(key.encode()).hexdigest(),
            scopes=["read", "write", "account"],
        )
        for key, user_id in rows
    )
    schema_editor.execute("DROP TABLE authtoken_token")


class Migration(migrations.Migration):
    dependencies = [("fl_server_core", "0002_accounts")]

    operations = [migrations.RunPython(take_over, migrations.RunPython.noop)]
