from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("fl_server_core", "0006_stored_files"),
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
                    ("participant_left", "participant left"),
                    ("participant_reminded", "participant reminded"),
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
        migrations.AddIndex(
            model_name="metric",
            index=models.Index(fields=["model", "id"], name="metric_of_model"),
        ),
    ]
