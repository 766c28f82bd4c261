import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("fl_server_core", "0003_hash_tokens"),
    ]

    operations = [
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
                    ("identity_linked", "identity linked"),
                    ("identity_unlinked", "identity unlinked"),
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
            name="Identity",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("issuer", models.CharField(help_text="The provider, as FL_OIDC_ISSUER names it.", max_length=255)),
                (
                    "subject",
                    models.CharField(help_text="The provider's id of the user: the claim “sub”.", max_length=255),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="identities",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "identities",
                "ordering": ["id"],
                "constraints": [models.UniqueConstraint(fields=("issuer", "subject"), name="unique_identity")],
            },
        ),
    ]
