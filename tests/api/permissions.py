"""Who may do what, as a table: a row for each call, a column for each kind of person. docs/permissions.md shows it.

python -m tests.api.permissions > docs/permissions.md
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass

PEOPLE = {
    "anonymous": "nobody is signed in",
    "stranger": "a user who has nothing to do with the training",
    "elsewhere": "a participant of another training",
    "former": "a participant who has left the training",
    "invited": "a user who is invited and has not answered",
    "participant": "a participant, who made the update",
    "other": "another participant; one update was passed on to this one (FedDC)",
    "actor": "the actor of the training",
    "owner": "the owner of the training's model, who is another user than the actor",
    "staff": "a member of the staff without permissions",
    "clerk": "a member of the staff with every permission",
    "superuser": "a superuser, who need not be on the staff",
}


@dataclass(frozen=True)
class Call:
    """method and path: as in urls.py, with names of things in braces. state: of the training. cells: by person.

    A cell is the status of the answer, or, where a list is answered, what of the scene is in it: `-` for nothing.
    """

    method: str
    path: str
    what: str
    cells: str
    state: str = "running"

    @property
    def expected(self) -> dict[str, str]:
        return dict(zip(PEOPLE, self.cells.split(), strict=True))

    def __str__(self) -> str:
        return f"{self.method} {self.path}" + ("" if self.state == "running" else f", {self.state}")


# fmt: off
SECTIONS: dict[str, list[Call]] = {
    "Users": [
        #                                             anon stra else form invi part othe acto owne staf cler supe
        Call("POST", "users/", "register",           "201  201  201  201  201  201  201  201  201  201  201  201"),
        Call("GET", "users/", "list all users",      "401  all  all  all  all  all  all  all  all  all  all  all"),
        Call("GET", "users/{user}/", "show a user",  "401  200  200  200  200  200  200  200  200  200  200  200"),
        Call("GET", "users/myself/", "show oneself", "401  200  200  200  200  200  200  200  200  200  200  200"),
        Call("PATCH", "users/myself/", "choose whom one trusts",
                                                     "401  200  200  200  200  200  200  200  200  200  200  200"),
        Call("DELETE", "users/myself/", "delete one's own account",
                                                     "401  200  200  200  200  200  200  200  200  200  200  200"),
        Call("GET", "users/myself/tokens/", "list one's tokens",
                                                     "401  api  api  api  api  api+laptop api api api api api api"),
        Call("POST", "users/myself/tokens/", "make a token",
                                                     "401  201  201  201  201  201  201  201  201  201  201  201"),
        Call("GET", "users/myself/tokens/{token}/", "show a token (the participant's)",
                                                     "401  400  400  400  400  200  400  400  400  400  400  400"),
        Call("DELETE", "users/myself/tokens/{token}/", "end it",
                                                     "401  400  400  400  400  204  400  400  400  400  400  400"),
        Call("GET", "users/myself/notification-secrets/", "show the secrets that sign one's notifications",
                                                     "401  200  200  200  200  200  200  200  200  200  200  200"),
        Call("POST", "users/myself/notification-secrets/", "rotate one's secret",
                                                     "401  201  201  201  201  201  201  201  201  201  201  201"),
        Call("GET", "users/myself/alerts/", "list one's alert rules",
                                                     "401  -    -    -    -    alert -  -    -    -    -    -"),
        Call("POST", "users/myself/alerts/", "make an alert rule",
                                                     "401  201  201  201  201  201  201  201  201  201  201  201"),
        Call("GET", "users/myself/alerts/{alert}/", "show an alert rule (the participant's)",
                                                     "401  400  400  400  400  200  400  400  400  400  400  400"),
        Call("PATCH", "users/myself/alerts/{alert}/", "change it",
                                                     "401  400  400  400  400  200  400  400  400  400  400  400"),
        Call("DELETE", "users/myself/alerts/{alert}/", "delete it",
                                                     "401  400  400  400  400  204  400  400  400  400  400  400"),
        Call("GET", "users/groups/", "list one's groups",
                                                     "401  -    -    -    -    ward+operators - - - -    -    -"),
        Call("GET", "users/invitations/", "list what one can accept",
                                                     "401  -    -    -    training - -  -    -    -    -    -"),
        Call("GET", "users/trainings/", "list trainings as actor or participant",
                                                     "401  -    another - - training training training - - - -"),
    ],
    "Groups": [
        Call("GET", "groups/", "list all groups",    "401  403  403  403  403  403  403  403  403  403"
                                                     " ward+operators ward+operators"),
        Call("POST", "groups/", "make a group",      "401  201  201  201  201  201  201  201  201  201  201  201"),
        Call("GET", "groups/{ward}/", "show a group (the participant is a member)",
                                                     "401  403  403  403  403  200  403  403  403  403  200  200"),
        Call("PUT", "groups/{ward}/", "rename it",   "401  403  403  403  403  200  403  403  403  403  200  200"),
        Call("PATCH", "groups/{ward}/", "rename it", "401  403  403  403  403  200  403  403  403  403  200  200"),
        Call("DELETE", "groups/{ward}/", "delete it", "401 403  403  403  403  204  403  403  403  403  204  204"),
        Call("GET", "groups/{operators}/", "show a group that has permissions or members of the staff",
                                                     "401  403  403  403  403  200  403  403  403  403  200  200"),
        Call("PUT", "groups/{operators}/", "rename it",
                                                     "401  403  403  403  403  403  403  403  403  403  200  200"),
        Call("PATCH", "groups/{operators}/", "rename it",
                                                     "401  403  403  403  403  403  403  403  403  403  200  200"),
        Call("DELETE", "groups/{operators}/", "delete it",
                                                     "401  403  403  403  403  403  403  403  403  403  204  204"),
    ],
    "Models": [
        Call("GET", "models/", "list models",        "401  -    other-model - - model+update+passed model model model"
                                                     " - - -"),
        Call("POST", "models/", "upload a model",    "401  403  403  403  403  403  403  201  201  403  201  201"),
        Call("GET", "models/{model}/", "download the global model",
                                                     "401  403  403  403  403  200  200  200  200  403  200  200"),
        Call("GET", "models/{model}/metadata/", "show its metadata",
                                                     "401  403  403  403  403  200  200  200  200  403  200  200"),
        Call("GET", "models/{model}/preprocessing/", "download its preprocessing",
                                                     "401  403  403  403  403  200  200  200  200  403  200  200"),
        Call("POST", "models/{model}/preprocessing/", "replace its preprocessing",
                                                     "401  403  403  403  403  403  403  403  202  403  403  403"),
        Call("GET", "models/{model}/metrics/", "list its metrics",
                                                     "401  403  403  403  403  metric metric metric metric 403"
                                                     " metric metric"),
        Call("POST", "models/{model}/metrics/", "report metrics",
                                                     "401  403  403  403  403  201  201  201  201  403  201  201"),
        Call("DELETE", "models/{model}/metrics/", "remove those that one has reported",
                                                     "401  403  403  403  403  200  200  200  200  403  200  200"),
        Call("GET", "models/{model}/versions/", "list its versions",
                                                     "401  403  403  403  403  0    0    0    0    403  0    0"),
        Call("PATCH", "models/{model}/versions/0/", "name or pin a version",
                                                     "401  403  403  403  403  403  403  200  200  403  200  200"),
        Call("POST", "models/{model}/versions/0/restore/", "restore a version",
                                                     "401  403  403  403  403  403  403  200  200  403  200  200",
             state="initial"),
        Call("POST", "inference/", "ask it for an inference",
                                                     "401  403  403  403  403  200  200  200  200  403  200  200"),
        Call("DELETE", "models/{model}/", "delete it and its training",
                                                     "401  403  403  403  403  403  403  200  200  403  200  200"),
    ],
    "Updates": [
        Call("POST", "models/{model}/", "upload an update",
                                                     "401  403  403  403  403  201  201  403  403  403  403  403"),
        Call("POST", "models/{model}/swag/", "upload moments",
                                                     "401  403  403  403  403  201  201  403  403  403  403  403",
             state="swag"),
        Call("POST", "trainings/{training}/rounds/{kind}/", "submit to a round of another kind (404: none is open)",
                                                     "401  403  403  403  403  404  404  403  403  403  403  403"),
        Call("GET", "models/{update}/", "download an update",
                                                     "401  403  403  403  403  200  403  200  403  403  200  200"),
        Call("GET", "models/{passed}/", "download an update that was passed on",
                                                     "401  403  403  403  403  200  200  200  403  403  200  200"),
        Call("GET", "models/{update}/metadata/", "show an update's metadata",
                                                     "401  403  403  403  403  200  403  200  403  403  200  200"),
        Call("GET", "models/{update}/metrics/", "list its metrics",
                                                     "401  403  403  403  403  -    403  -    403  403  -    -"),
        Call("POST", "models/{update}/metrics/", "report metrics of it",
                                                     "401  403  403  403  403  201  403  201  403  403  201  201"),
        Call("DELETE", "models/{update}/", "delete it",
                                                     "401  403  403  403  403  200  403  200  403  403  200  200"),
    ],
    "Trainings": [
        Call("GET", "trainings/", "list the trainings that one is the actor of",
                                                     "401  -    -    -    -    -    -    training - - - -"),
        Call("POST", "trainings/", "create a training of the owner's model",
                                                     "401  403  403  403  403  403  403  403  201  403  403  403"),
        Call("GET", "trainings/{training}/", "show a training",
                                                     "401  403  403  403  403  200  200  200  403  403  200  200"),
        Call("GET", "trainings/{training}/status/", "show what it waits for",
                                                     "401  403  403  403  403  200  200  200  403  403  200  200"),
        Call("GET", "trainings/{training}/history/", "list what happened",
                                                     "401  403  403  403  403  started started started 403 403"
                                                     " started started"),
        Call("GET", "trainings/{training}/metrics/", "list its metrics, as JSON, JSON lines or CSV",
                                                     "401  403  403  403  403  metric metric metric metric 403"
                                                     " metric metric"),
        Call("GET", "trainings/{training}/models/", "list its models",
                                                     "401  -    -    -    -    model+update+passed model+passed"
                                                     " model+update+passed - - model+update+passed"
                                                     " model+update+passed"),
        Call("GET", "trainings/{training}/models/latest/", "list each participant's newest",
                                                     "401  -    -    -    -    model+passed model+passed model+passed"
                                                     " - - model+passed model+passed"),
        Call("POST", "trainings/{training}/start/", "start it",
                                                     "401  403  403  403  403  403  403  202  403  403  202  202",
             state="initial"),
        Call("POST", "trainings/{training}/stop/", "stop it",
                                                     "401  403  403  403  403  403  403  202  403  403  202  202"),
        Call("POST", "trainings/{training}/resume/", "resume it",
                                                     "401  403  403  403  403  403  403  202  403  403  202  202",
             state="failed"),
        Call("PUT", "trainings/{training}/clients/", "invite or add users",
                                                     "401  403  403  403  403  403  403  202  403  403  202  202"),
        Call("DELETE", "trainings/{training}/clients/", "remove participants, withdraw invitations",
                                                     "401  403  403  403  403  403  403  200  403  403  200  200"),
        Call("POST", "trainings/{training}/accept/", "accept an invitation",
                                                     "401  403  403  403  200  200  200  403  403  403  403  403"),
        Call("POST", "trainings/{training}/decline/", "decline an invitation",
                                                     "401  403  403  403  200  403  403  403  403  403  403  403"),
        Call("POST", "trainings/{training}/leave/", "leave",
                                                     "401  403  403  403  403  200  200  403  403  403  403  403"),
        Call("DELETE", "trainings/{training}/", "delete it",
                                                     "401  403  403  403  403  403  403  200  403  403  200  200"),
    ],
    "Notifications": [
        Call("GET", "notifications/", "fetch one's notifications",
                                                     "401  -    -    -    -    notification - - - - - -"),
        Call("POST", "notifications/{notification}/ack/", "acknowledge the participant's (400: it is not one's own)",
                                                     "401  400  400  400  400  200  400  400  400  400  400  400"),
    ],
    "Pages": [
        Call("GET", "schema/", "the OpenAPI schema", "200  200  200  200  200  200  200  200  200  200  200  200"),
        Call("GET", "schema/swagger-ui/", "the same to try out",
                                                     "200  200  200  200  200  200  200  200  200  200  200  200"),
        Call("GET", "schema/redoc/", "the same to read",
                                                     "200  200  200  200  200  200  200  200  200  200  200  200"),
    ],
}
# fmt: on
CALLS = [call for calls in SECTIONS.values() for call in calls]

HEAD = """# Who may do what

The tests play this table against a server. It is generated from `tests/api/permissions.py`. To change a rule, change
`fl_server_core/policies.py` and the table, then run `python -m tests.api.permissions > docs/permissions.md`.

A cell is the status of the response: 2xx means that the call succeeds, 401 that nobody is signed in, 403 that this
person isn't allowed to make it. If the response is a list, the cell shows what is in the list; – is an empty list.

The table applies to the production settings: `FL_ENROLMENT=consent` and `FL_ACTORS=flagged`. Only the actor and the
owner have the flag `actor`. With `FL_ACTORS=everyone`, every user can upload models and create trainings of its own
models.

## The people

"""
STAFF = """
## Staff

Django's permissions apply to the API as they do to the admin. They count for members of the staff only. Superusers have
all of them. The permission to change something includes viewing it.

| permission | what it allows over the API |
|---|---|
| `view_training` | show a training, its status and its history |
| `change_training` | start, stop and resume it; add, invite and remove participants |
| `delete_training` | delete it |
| `add_training` | create a training of one's own model without the flag `actor` |
| `view_delivery` | in a status and a history, ids of notifications, endpoints and errors of all participants |
| `view_user` | the e-mail addresses and message endpoints of all users, where they aren't shown to everyone |
| `view_globalmodel` | download any global model, show its versions and metadata, ask it for inferences |
| `add_globalmodel` | upload models without the flag `actor` |
| `delete_globalmodel` | delete a global model; one with a training only with `delete_training`, too |
| `change_modelversion` | restore, name and pin versions |
| `view_localmodel`, `delete_localmodel` | the same for updates |
| `view_metric`, `add_metric` | list the metrics of any model or training, report metrics of a model |
| `view_group`, `change_group`, `delete_group` | list, show, rename and delete any group |

Only a model's owner replaces its preprocessing, and only participants submit to rounds. Nobody can answer invitations
or acknowledge notifications for someone else.
"""


def page() -> str:
    """The text of docs/permissions.md."""
    people = "".join(f"- **{name}**: {about}\n" for name, about in PEOPLE.items())
    return HEAD + people + "".join(_section(title, calls) for title, calls in SECTIONS.items()) + STAFF


def _section(title: str, calls: list[Call]) -> str:
    head = "| call | what it does | " + " | ".join(PEOPLE) + " |"
    lines = [f"\n## {title}\n", head, "|---" * (len(PEOPLE) + 2) + "|"]
    for call in calls:
        cells = [cell.replace("+", ", ").replace("other-model", "another") for cell in call.expected.values()]
        shown = ["–" if cell == "-" else cell for cell in cells]
        path = re.sub(r"{(update|passed|ward|operators)}", "<id>", call.path).replace("{", "<").replace("}", ">")
        lines.append(f"| `{call.method} /api/{path}` | {call.what} | " + " | ".join(shown) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())
