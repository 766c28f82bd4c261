import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("fl_server_core", "0004_identities"),
    ]

    operations = [
        migrations.AddField(
            model_name="user",
            name="trusted_actors",
            field=models.ManyToManyField(blank=True, related_name="trusted_by", to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name="user",
            name="trusts_everyone",
            field=models.BooleanField(default=False),
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
                    ("participant_left", "participant left"),
                    ("participant_invited", "invited to take part"),
                    ("participant_accepted", "invitation to take part accepted"),
                    ("participant_declined", "invitation to take part declined"),
                    ("participant_uninvited", "invitation to take part withdrawn"),
                    ("update_deleted", "update deleted"),
                    ("metrics_deleted", "metrics deleted"),
                    ("delivery_failed", "delivery failed"),
                    ("deliveries_retried", "deliveries sent again"),
                    ("taken_over", "taken over from a worker that went silent"),
                    ("created", "created"),
                    ("edited", "edited"),
                    ("deleted", "deleted"),
                    ("trust_changed", "trusted actors changed"),
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
        migrations.AlterField(
            model_name="user",
            name="actor",
            field=models.BooleanField(
                default=False, help_text="Registers models and trainings. Needed for it where FL_ACTORS is `flagged`."
            ),
        ),
        migrations.CreateModel(
            name="TrainingInvitation",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("open", "open"),
                            ("accepted", "accepted"),
                            ("declined", "declined"),
                            ("withdrawn", "withdrawn"),
                        ],
                        default="open",
                        max_length=16,
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("settled_at", models.DateTimeField(blank=True, null=True)),
                (
                    "invited_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="training_invitations_sent",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "training",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="invitations",
                        to="fl_server_core.training",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="training_invitations",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["id"],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("state", "open")),
                        fields=("training", "user"),
                        name="one_open_invitation_per_training_and_user",
                    )
                ],
            },
        ),
    ]
