"""Celery: the broker, the queues, what runs at intervals."""

from typing import Any

from kombu import Queue

from fl_server.settings.stores import FL_EMBEDDED, FL_REDIS_LOCATION, env

FL_SWEEP_SECONDS = env.seconds("FL_SWEEP_SECONDS", 10, least=0.1)
CELERY_BROKER_URL = FL_REDIS_LOCATION or "memory://localhost/"
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None  # a worker outlives any pause of its broker
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any]
if FL_EMBEDDED:
    CELERY_BROKER_TRANSPORT_OPTIONS = {"polling_interval": 0.05}
else:
    CELERY_BROKER_TRANSPORT = "fl_server.processes.broker:Transport"
    # A request that nudges a worker must not hang when Redis is gone: short timeouts, and no retries on publishing.
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "visibility_timeout": 3600,
        "socket_connect_timeout": 2,
        "socket_timeout": 5,
        "max_retries": 1,
        "interval_start": 0.1,
    }
CELERY_TASK_PUBLISH_RETRY = False
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_SERIALIZER = "json"
CELERY_RESULT_SERIALIZER = "json"
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_ENABLE_REMOTE_CONTROL = not FL_EMBEDDED
CELERY_BEAT_ENABLE_REMOTE_CONTROL = True  # so that `celery inspect ping` can tell whether it ticks
CELERY_TASK_DEFAULT_QUEUE = "celery"
# celery: what computes, for hours perhaps. notifications: waits for receivers. control: decides what is due, in
# milliseconds, also when all threads of the other two are busy. A worker without -Q serves all of them.
CELERY_TASK_QUEUES = [Queue(name, routing_key=name) for name in ("celery", "notifications", "control")]
CELERY_TASK_ROUTES = {
    "fl_server_ai.alerts.tasks.look_for_alerts": {"queue": "control"},
    "fl_server_ai.alerts.tasks.send_alerts": {"queue": "notifications"},
    "fl_server_ai.notification.tasks.deliver": {"queue": "notifications"},
    "fl_server_ai.trainer.tasks.process_trainer_task": {"queue": "control"},
    "fl_server_ai.trainer.tasks.sweep": {"queue": "control"},
    "fl_server_ai.trainer.tasks.seal": {"queue": "control"},
}
CELERY_BEAT_SCHEDULER = "fl_server.telemetry.pulse:PulsingScheduler"  # the schedule is in here: no file to keep
CELERY_BEAT_MAX_LOOP_INTERVAL = 1  # second: each look is a heartbeat
FL_SEAL_SECONDS = 5
CELERY_BEAT_SCHEDULE = {
    "sweep": {
        "task": "fl_server_ai.trainer.tasks.sweep",
        "schedule": FL_SWEEP_SECONDS,
        # One that waited longer than this is no use any more: its successor is already there.
        "options": {"expires": max(FL_SWEEP_SECONDS, 1)},
    },
    # What is committed is sealed within twice this time.
    "seal": {
        "task": "fl_server_ai.trainer.tasks.seal",
        "schedule": FL_SEAL_SECONDS,
        "options": {"expires": FL_SEAL_SECONDS},
    },
}
