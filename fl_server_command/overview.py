"""What `fl-server --help` prints. It reads no settings, so it works whatever is wrong with them."""

from importlib import import_module
from pathlib import Path

from django.core.management import find_commands

OURS = {
    "serve": "run the whole server: API, admin, and without Redis the tasks as well",
    "demo": "run a whole federated training on this machine, and report",
    "config": "print a settings file with all settings, explained",
    "check": "check the settings; with --deploy more of it",
    "migrate": "bring the database up to date (serve does it, too)",
    "createsuperuser": "make an administrator",
    "changepassword": "change a user's password",
    "invite": "print invitations, with which people can register",
    "create_demo_data": "make an actor, participants and a training to try the server with",
    "create_large_training": "make a training of any size, to measure the pages with",
    "audit": "verify, export or prune the trail of who did what",
    "backup": "copy the database and its files while the server runs; also: backup verify, backup prune",
    "restore": "put a backup into an empty server",
    "retention": "remove what is older than the settings keep it; with --dry-run say what would go",
    "export_mlflow": "send a training to MLflow",
    "export_tensorboard": "write a training's metrics for TensorBoard",
    "worker": "run a worker (needs Redis): worker [compute|notifications|control|all] [Celery's options]",
    "beat": "run the scheduler (needs Redis); start exactly one, none with worker all",
}
PACKAGES = (
    "django.core",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
)
"""Where further commands come from."""
TEXT = """\
fl-server: a server for federated learning.

Usage: fl-server COMMAND [options]     fl-server COMMAND --help explains one command

{ours}

Also: {others}

Settings are environment variables, or keys of a TOML file: the one that FL_CONFIG names, else fl-server.toml in the
data folder, else the one in your configuration folder. `fl-server config` prints all of them.

The data folder is FL_DATA_DIR, else fl-server in the folder for such data in your home (in a checkout: var).

DJANGO_SETTINGS_MODULE chooses between fl_server.settings.development (the default; `serve` then listens on this machine
only) and fl_server.settings.production, for a server that others reach. worker and beat take production by default."""


def overview() -> str:
    """Our commands with a line each, then the names of the others."""
    width = max(map(len, OURS))
    ours = "\n".join(f"  {name:<{width}}  {line}" for name, line in OURS.items())
    return TEXT.format(ours=ours, others=", ".join(other_commands()))


def other_commands() -> list[str]:
    """The commands of Django and of its apps."""
    folders = (Path(import_module(package).__path__[0]) / "management" for package in PACKAGES)
    found = {name for folder in folders for name in find_commands(str(folder))}
    return sorted(found - OURS.keys())
