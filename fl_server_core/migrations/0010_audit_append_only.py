"""The database itself keeps the trail: entries and seals are only added, and an entry comes with the mark that it waits to
be sealed. A migration that makes one of these tables anew on SQLite (AlterField does) must make its triggers again."""

from django.db import migrations

ENTRY, SEAL, PENDING = (f"fl_server_core_audit{name}" for name in ("entry", "seal", "pending"))
SENTENCE = "The trail is append-only."

POSTGRESQL = [
    f"""
    CREATE FUNCTION fl_audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP <> 'UPDATE' AND current_setting('fl.audit_purge', true) = 'on' THEN
            RETURN OLD;
        END IF;
        RAISE EXCEPTION '{SENTENCE}' USING ERRCODE = 'integrity_constraint_violation';
    END $$
    """,
    f"""
    CREATE FUNCTION fl_audit_enlist() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO {PENDING} (entry_id) VALUES (NEW.id);
        RETURN NULL;
    END $$
    """,
    f"CREATE TRIGGER fl_audit_enlist AFTER INSERT ON {ENTRY} FOR EACH ROW EXECUTE FUNCTION fl_audit_enlist()",
    *(
        f"CREATE TRIGGER fl_audit_keep BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION fl_audit_refuse()"
        for table in (ENTRY, SEAL)
    ),
    *(
        f"CREATE TRIGGER fl_audit_keep_all BEFORE TRUNCATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION fl_audit_refuse()"
        for table in (ENTRY, SEAL)
    ),
]
POSTGRESQL_BACK = [
    *(f"DROP TRIGGER fl_audit_keep_all ON {table}" for table in (ENTRY, SEAL)),
    *(f"DROP TRIGGER fl_audit_keep ON {table}" for table in (ENTRY, SEAL)),
    f"DROP TRIGGER fl_audit_enlist ON {ENTRY}",
    "DROP FUNCTION fl_audit_enlist()",
    "DROP FUNCTION fl_audit_refuse()",
]


def _refuse(name, when, table, condition):
    return f"""
    CREATE TRIGGER {name} BEFORE {when} ON {table} WHEN {condition}
    BEGIN SELECT RAISE(ABORT, '{SENTENCE}'); END
    """


# Without a row in the table of the switch, nothing is deleted. INSERT OR REPLACE fires no trigger of a deletion, so an
# insertion with the key of another row is refused as well.
SQLITE = [
    "CREATE TABLE fl_audit_purging (is_on integer NOT NULL)",
    f"""
    CREATE TRIGGER fl_audit_enlist AFTER INSERT ON {ENTRY}
    BEGIN INSERT INTO {PENDING} (entry_id) VALUES (NEW.id); END
    """,
    *(
        statement
        for table, key in ((ENTRY, "id"), (SEAL, "position"))
        for statement in (
            _refuse(f"fl_audit_keep_{key}", "UPDATE", table, "true"),
            _refuse(f"fl_audit_hold_{key}", "DELETE", table, "NOT EXISTS (SELECT 1 FROM fl_audit_purging)"),
            _refuse(
                f"fl_audit_spare_{key}", "INSERT", table, f"EXISTS (SELECT 1 FROM {table} WHERE {key} = NEW.{key})"
            ),
        )
    ),
]
SQLITE_BACK = [
    *(f"DROP TRIGGER fl_audit_{verb}_{key}" for key in ("id", "position") for verb in ("keep", "hold", "spare")),
    "DROP TRIGGER fl_audit_enlist",
    "DROP TABLE fl_audit_purging",
]


def make(apps, schema_editor):
    for statement in POSTGRESQL if schema_editor.connection.vendor == "postgresql" else SQLITE:
        schema_editor.execute(statement, params=None)


def remove(apps, schema_editor):
    for statement in POSTGRESQL_BACK if schema_editor.connection.vendor == "postgresql" else SQLITE_BACK:
        schema_editor.execute(statement, params=None)


class Migration(migrations.Migration):
    dependencies = [("fl_server_core", "0009_audit")]

    operations = [migrations.RunPython(make, remove)]
