"""What requests do, in the trail's words: a verb and the kind of the object, by route and method."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Deed:
    """argument: of the route, which holds the object's id. Empty: the request or its answer tells it."""

    verb: str
    kind: str
    argument: str = ""
    is_read: bool = False


def _of_model(verb: str, kind: str = "model", *, is_read: bool = False) -> Deed:
    return Deed(verb, kind, "model_id", is_read)


def _of_training(verb: str) -> Deed:
    return Deed(verb, "training", "training_id")


_GROUP = "groups/<int:group_id>/"
_MODEL = "models/<id:model_id>/"
_TRAINING = "trainings/<id:training_id>/"
SIGN_IN = Deed("sign in", "account")
SIGN_OUT = Deed("sign out", "account")

DEEDS: dict[tuple[str, str], Deed] = {
    ("POST", "users/"): Deed("register", "account"),
    ("PATCH", "users/myself/"): Deed("change", "account"),
    ("DELETE", "users/myself/"): Deed("delete", "account"),
    ("POST", "users/myself/tokens/"): Deed("create", "token"),
    ("DELETE", "users/myself/tokens/<id:token_id>/"): Deed("delete", "token", "token_id"),
    ("POST", "users/myself/notification-secrets/"): Deed("rotate", "notification secret"),
    ("POST", "users/myself/alerts/"): Deed("create", "alert rule"),
    ("PATCH", "users/myself/alerts/<id:rule_id>/"): Deed("change", "alert rule", "rule_id"),
    ("DELETE", "users/myself/alerts/<id:rule_id>/"): Deed("delete", "alert rule", "rule_id"),
    ("POST", "groups/"): Deed("create", "group"),
    ("PUT", _GROUP): Deed("change", "group", "group_id"),
    ("PATCH", _GROUP): Deed("change", "group", "group_id"),
    ("DELETE", _GROUP): Deed("delete", "group", "group_id"),
    ("POST", "models/"): Deed("create", "model"),
    ("GET", _MODEL): _of_model("download", is_read=True),
    ("POST", _MODEL): _of_model("upload"),
    ("DELETE", _MODEL): _of_model("delete"),
    ("POST", f"{_MODEL}metrics/"): _of_model("report metrics"),
    ("DELETE", f"{_MODEL}metrics/"): _of_model("delete metrics"),
    ("GET", f"{_MODEL}preprocessing/"): _of_model("download", "preprocessing", is_read=True),
    ("POST", f"{_MODEL}preprocessing/"): _of_model("upload", "preprocessing"),
    ("POST", f"{_MODEL}swag/"): _of_model("upload moments"),
    ("PATCH", f"{_MODEL}versions/<int:number>/"): _of_model("change version"),
    ("POST", f"{_MODEL}versions/<int:number>/restore/"): _of_model("restore version"),
    ("POST", "trainings/"): Deed("create", "training"),
    ("DELETE", _TRAINING): _of_training("delete"),
    ("POST", f"{_TRAINING}start/"): _of_training("start"),
    ("POST", f"{_TRAINING}accept/"): _of_training("accept"),
    ("POST", f"{_TRAINING}decline/"): _of_training("decline"),
    ("POST", f"{_TRAINING}leave/"): _of_training("leave"),
    ("PUT", f"{_TRAINING}clients/"): _of_training("add participants"),
    ("DELETE", f"{_TRAINING}clients/"): _of_training("remove participants"),
    ("POST", f"{_TRAINING}resume/"): _of_training("resume"),
    ("POST", f"{_TRAINING}stop/"): _of_training("stop"),
    ("POST", f"{_TRAINING}rounds/<str:kind>/"): _of_training("submit"),
    ("POST", "inference/"): Deed("infer", "model", is_read=True),
    ("POST", "notifications/<id:notification_id>/ack/"): Deed("acknowledge", "notification", "notification_id"),
}
"""Of the API; routes as `fl_server_api.urls` writes them."""
PAGES: dict[str, Deed] = {
    "model_try": _of_model("infer", is_read=True),
    "model_restore": _of_model("restore version"),
    "model_describe": _of_model("change version"),
}
"""Of forms on pages, by the names of their addresses, wherever the pages are shown."""
WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_METHODS = {"POST": "create", "PUT": "change", "PATCH": "change", "DELETE": "delete"}
_KINDS = {
    "user": "account",
    "globalmodel": "model",
    "swagmodel": "model",
    "meanmodel": "model",
    "localmodel": "update",
    "modelversion": "version",
    "accesstoken": "token",
    "traininginvitation": "training invitation",
}
_SIGN_IN_PAGES = ("/admin/login/", "/api-auth/login/", "/oidc/")


def deed_of(method: str, path: str, route: str) -> Deed:
    """What a request does. route: empty where no view was found."""
    if path.startswith(_SIGN_IN_PAGES):
        return SIGN_IN
    if path in ("/admin/logout/", "/api-auth/logout/"):
        return SIGN_OUT
    known = DEEDS.get((method, route.removeprefix("api/")))
    if known is not None:
        return known
    return Deed(_METHODS.get(method, "read"), "", is_read=method not in WRITES)


def deed_of_page(name: str, *, is_read: bool) -> Deed:
    """What a page of the admin does that leaves no entries itself. name: of its URL, `auth_group_change`."""
    if is_read:
        return Deed("read", "", is_read=True)
    rest, _, verb = name.rpartition("_")
    verbs = {"add": "create", "change": "change", "delete": "delete", "changelist": "act on"}
    return Deed(verbs.get(verb, name.replace("_", " "))[:32], kind_of_row(rest.rpartition("_")[2]), "object_id")


def kind_of_row(name: str) -> str:
    """What the trail calls a kind of rows, from the name of its class in small letters."""
    return _KINDS.get(name, name)[:32]
