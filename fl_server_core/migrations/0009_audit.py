import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("fl_server_core", "0008_notification_secrets"),
    ]

    operations = [
        migrations.CreateModel(
            name="AuditPending",
            fields=[
                ("entry_id", models.BigIntegerField(primary_key=True, serialize=False)),
            ],
            options={
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="AuditSeal",
            fields=[
                ("position", models.BigIntegerField(primary_key=True, serialize=False)),
                ("entry_id", models.BigIntegerField(unique=True)),
                ("hash", models.CharField(max_length=64)),
                ("sealed_at", models.DateTimeField(db_index=True)),
            ],
            options={
                "ordering": ["position"],
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="AuditChain",
            fields=[
                (
                    "number",
                    models.PositiveSmallIntegerField(default=1, editable=False, primary_key=True, serialize=False),
                ),
                ("position", models.BigIntegerField(default=0)),
                (
                    "hash",
                    models.CharField(
                        default="0000000000000000000000000000000000000000000000000000000000000000", max_length=64
                    ),
                ),
                ("purged_position", models.BigIntegerField(default=0)),
                (
                    "purged_hash",
                    models.CharField(
                        default="0000000000000000000000000000000000000000000000000000000000000000", max_length=64
                    ),
                ),
            ],
            options={
                "default_permissions": (),
                "constraints": [models.CheckConstraint(condition=models.Q(("number", 1)), name="one_audit_chain")],
            },
        ),
        migrations.CreateModel(
            name="AuditEntry",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("at", models.DateTimeField(db_index=True, default=django.utils.timezone.now)),
                ("account_id", models.UUIDField(null=True)),
                ("account_name", models.CharField(blank=True, max_length=150)),
                (
                    "credential",
                    models.CharField(
                        choices=[
                            ("token", "token"),
                            ("password", "password"),
                            ("session", "session"),
                            ("identity", "identity token"),
                            ("none", "nothing"),
                            ("server", "the server itself"),
                        ],
                        default="none",
                        max_length=16,
                    ),
                ),
                ("token_id", models.UUIDField(null=True)),
                ("token_name", models.CharField(blank=True, max_length=100)),
                ("address", models.CharField(blank=True, max_length=64)),
                ("verb", models.CharField(max_length=32)),
                ("object_kind", models.CharField(blank=True, max_length=32)),
                ("object_id", models.CharField(blank=True, db_index=True, max_length=64)),
                ("object_name", models.CharField(blank=True, max_length=200)),
                ("training_id", models.UUIDField(null=True)),
                ("round", models.IntegerField(null=True)),
                (
                    "outcome",
                    models.CharField(
                        choices=[("done", "done"), ("refused", "refused"), ("failed", "failed")],
                        default="done",
                        max_length=16,
                    ),
                ),
                ("status", models.PositiveSmallIntegerField(null=True)),
                ("count", models.PositiveIntegerField(default=1)),
                ("details", models.JSONField(default=dict)),
            ],
            options={
                "verbose_name": "trail entry",
                "verbose_name_plural": "trail",
                "ordering": ["id"],
                "default_permissions": ("view",),
                "indexes": [
                    models.Index(fields=["account_id", "id"], name="audit_of_account"),
                    models.Index(fields=["training_id", "id"], name="audit_of_training"),
                ],
            },
        ),
    ]
