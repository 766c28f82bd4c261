"""What rounds, notifications, models and accounts may take: times, numbers and sizes. `base` takes it all over."""

from fl_server.settings.stores import env

# --- Rounds and notifications ----------------------------------------------------------------------------------------
FL_LEASE_SECONDS = env.seconds("FL_LEASE_SECONDS", 60, least=1)
FL_NOTIFICATION_TIMEOUT_SECONDS = env.seconds("FL_NOTIFICATION_TIMEOUT_SECONDS", 10, least=0.1)
FL_NOTIFICATION_RETRY_SECONDS = env.all_seconds("FL_NOTIFICATION_RETRY_SECONDS", [2, 8, 30, 120, 300])
FL_NOTIFICATION_SILENT_ATTEMPTS = env.integer("FL_NOTIFICATION_SILENT_ATTEMPTS", 3)
FL_NOTIFICATION_ALLOWED_NETWORKS = env.words("FL_NOTIFICATION_ALLOWED_NETWORKS")
# Besides 80 and 443, with the production settings.
FL_NOTIFICATION_PORTS = env.ports("FL_NOTIFICATION_PORTS")

# --- What is kept, and for how long ----------------------------------------------------------------------------------
# Versions of a model that are kept, besides the first and those that are named or pinned.
FL_KEEP_VERSIONS = env.integer("FL_KEEP_VERSIONS", 10, least=2)
# Days after which rows are removed; 0: never. By default, what belongs to a training is kept. docs/backup.md
FL_KEEP_DELIVERIES_DAYS = env.days("FL_KEEP_DELIVERIES_DAYS", 90)
FL_KEEP_ALERTS_DAYS = env.days("FL_KEEP_ALERTS_DAYS", 90)
FL_KEEP_TOKENS_DAYS = env.days("FL_KEEP_TOKENS_DAYS", 90)
FL_KEEP_EVENTS_DAYS = env.days("FL_KEEP_EVENTS_DAYS", 0)
FL_KEEP_METRICS_DAYS = env.days("FL_KEEP_METRICS_DAYS", 0)
FL_KEEP_UPDATES_DAYS = env.days("FL_KEEP_UPDATES_DAYS", 0)
# Days that entries of the trail are kept; 0: for ever.
FL_AUDIT_DAYS = env.days("FL_AUDIT_DAYS", 365)
FL_ORPHAN_SECONDS = env.seconds("FL_ORPHAN_SECONDS", 24 * 3600, least=1)

# --- The sandbox -----------------------------------------------------------------------------------------------------
FL_SANDBOX_PROCESSES = env.integer("FL_SANDBOX_PROCESSES", 1, least=1)
FL_SANDBOX_MEMORY_MB = env.integer("FL_SANDBOX_MEMORY_MB", 4096, least=512)
FL_SANDBOX_TIMEOUT_SECONDS = env.seconds("FL_SANDBOX_TIMEOUT_SECONDS", 30, least=0.1)
FL_SANDBOX_CPU_SECONDS = env.integer("FL_SANDBOX_CPU_SECONDS", 30, least=1)
FL_SANDBOX_CACHE_MB = env.integer("FL_SANDBOX_CACHE_MB", 512)
# Where models run when they are asked: cpu, cuda, cuda:1, or auto, a GPU if there is one.
FL_INFERENCE_DEVICE = env.device("FL_INFERENCE_DEVICE", "cpu")
FL_TRUSTED_GLOBALS = env.words("FL_TRUSTED_GLOBALS")

# --- Budgets ---------------------------------------------------------------------------------------------------------
FL_MAX_UPLOAD_MB = env.integer("FL_MAX_UPLOAD_MB", 4096, least=1)
# What one account may own and do; 0: no bound. docs/budgets.md
FL_MAX_MODELS = env.integer("FL_MAX_MODELS", 200)
FL_MAX_TRAININGS = env.integer("FL_MAX_TRAININGS", 200)
FL_MAX_ALERT_RULES = env.integer("FL_MAX_ALERT_RULES", 20)
FL_MAX_METRICS = env.integer("FL_MAX_METRICS", 1_000_000)
FL_MAX_STORAGE_MB = env.integer("FL_MAX_STORAGE_MB", 2048)
FL_MAX_INFERENCES = env.integer("FL_MAX_INFERENCES", 4)
FL_MAX_POLLS = env.integer("FL_MAX_POLLS", 4)
FL_MAX_REQUESTS = env.integer("FL_MAX_REQUESTS", 6000)
