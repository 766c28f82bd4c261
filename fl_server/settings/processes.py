"""Processes, their threads, and what a slow client may take of them. `base` takes it all over."""

from fl_server.settings.stores import env

FL_WEB_THREADS = env.integer("FL_WEB_THREADS", 16, least=1)
FL_WEB_WORKERS = env.integer("FL_WEB_WORKERS", 1, least=1)
# Threads of a process that notifies: they wait for receivers. docker-compose.yml gives its notifier as many.
FL_NOTIFICATION_THREADS = env.integer("FL_NOTIFICATION_THREADS", 32, least=1)
# At a stop: how long running requests and closings may take, and, before that, how long requests are still accepted.
FL_STOP_SECONDS = env.seconds("FL_STOP_SECONDS", 10)
FL_DRAIN_SECONDS = env.seconds("FL_DRAIN_SECONDS", 0)
# How long a process waits at its start until the database has the migrations that it needs.
FL_MIGRATION_WAIT_SECONDS = env.seconds("FL_MIGRATION_WAIT_SECONDS", 300)
FL_EMBEDDED_WORKER_THREADS = env.integer("FL_EMBEDDED_WORKER_THREADS", 8, least=1)

# --- Slow clients ----------------------------------------------------------------------------------------------------
FL_MAX_CONNECTIONS = env.integer("FL_MAX_CONNECTIONS", 2000, least=1)
FL_MAX_CONNECTIONS_PER_ADDRESS = env.integer("FL_MAX_CONNECTIONS_PER_ADDRESS", 0)
FL_HEADER_SECONDS = env.seconds("FL_HEADER_SECONDS", 20, least=0.1)
FL_SILENCE_SECONDS = env.seconds("FL_SILENCE_SECONDS", 60, least=0.1)
FL_MIN_BYTES_PER_SECOND = env.integer("FL_MIN_BYTES_PER_SECOND", 1000)
