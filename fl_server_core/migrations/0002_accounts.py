import uuid

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("fl_server_core", "0001_initial"),
    ]

    operations = [
        migrations.AddField(
            model_name="user",
            name="token_generation",
            field=models.IntegerField(default=0, editable=False),
        ),
        migrations.AlterField(
            model_name="event",
            name="kind",
            field=models.CharField(
                choices=[
                    ("started", "started"),
                    ("aggregated", "aggregated"),
                    ("passed_on", "passed on"),
                    ("moments_averaged", "moments averaged"),
                    ("tested", "tested"),
                    ("round_closed", "round closed"),
                    ("participant_added", "participant added"),
                    ("participant_removed", "participant removed"),
                    ("participant_rejected", "participant rejected a notification"),
                    ("update_deleted", "update deleted"),
                    ("metrics_deleted", "metrics deleted"),
                    ("delivery_failed", "delivery failed"),
                    ("deliveries_retried", "deliveries sent again"),
                    ("taken_over", "taken over from a worker that went silent"),
                    ("created", "created"),
                    ("edited", "edited"),
                    ("deleted", "deleted"),
                    ("token_renewed", "API token renewed"),
                    ("token_made", "token made"),
                    ("token_ended", "token ended"),
                    ("password_changed", "password changed"),
                    ("invited", "invitation made"),
                    ("invitation_withdrawn", "invitation withdrawn"),
                    ("version_restored", "version restored"),
                    ("version_described", "version named or pinned"),
                    ("failed", "failed"),
                    ("resumed", "resumed"),
                    ("stopped", "stopped"),
                    ("finished", "finished"),
                ],
                max_length=32,
            ),
        ),
        migrations.CreateModel(
            name="AccessToken",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                (
                    "name",
                    models.CharField(help_text="What uses it, for example “laptop” or “nightly job”.", max_length=100),
                ),
                ("digest", models.CharField(editable=False, max_length=64, unique=True)),
                ("scopes", models.JSONField(default=list)),
                ("generation", models.IntegerField(editable=False, null=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("expires_at", models.DateTimeField(blank=True, help_text="Empty: never.", null=True)),
                (
                    "last_used_at",
                    models.DateTimeField(editable=False, help_text="To the nearest five minutes.", null=True),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="tokens", to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
            options={
                "verbose_name": "token",
                "ordering": ["created_at", "id"],
            },
        ),
        migrations.CreateModel(
            name="FailedSignIns",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("address", models.CharField(max_length=64)),
                ("account", models.CharField(max_length=64)),
                ("failures", models.PositiveIntegerField(default=1)),
                ("began_at", models.DateTimeField(db_index=True)),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("address", "account"), name="unique_failed_sign_ins")],
            },
        ),
        migrations.CreateModel(
            name="Invitation",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("digest", models.CharField(editable=False, max_length=64, unique=True)),
                (
                    "note",
                    models.CharField(
                        blank=True,
                        help_text="Whom it is for. Only those who see this page can read it.",
                        max_length=200,
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("expires_at", models.DateTimeField()),
                ("used_at", models.DateTimeField(editable=False, null=True)),
                (
                    "author",
                    models.ForeignKey(
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="invitations",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "used_by",
                    models.ForeignKey(
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["-created_at"],
            },
        ),
    ]
