"""From requests to entries of the trail: what was done, by whom, with which outcome."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.db import DatabaseError
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from fl_server_api.client_address import client_address
from fl_server_api.deeds import PAGES, SIGN_IN, SIGN_OUT, WRITES, Deed, deed_of, deed_of_page
from fl_server_api.middleware import unavailable
from fl_server_core.log_context import bind_ids
from fl_server_core.models import AccessToken, AuditEntry, Credential, Outcome, User
from fl_server_core.services.trail_buffer import buffer, flusher
from fl_server_core.trail import Act, acting, current_act, people_of, short

READ_REFUSALS = frozenset({401, 403, 413, 429, 507})
"""Of what only reads, these statuses are refusals. Others are mistakes, such as an unknown id."""
OF_MODELS = ("model", "preprocessing", "training")
NAMES = {"account": "username", "group": "name", "token": "name"}
LARGEST_ROUND = 2**31
SCHEMES: dict[str, str] = {
    "token": Credential.TOKEN,
    "basic": Credential.PASSWORD,
    "bearer": Credential.IDENTITY,
}
CREATED = {"account": "id", "group": "id", "token": "id", "model": "model_id", "training": "training_id"}
"""Where the answer to a request that makes an object holds its id."""


class TrailMiddleware:
    """Gives each request that writes, downloads, infers, signs in or is refused its entry in the trail.

    Entries of what was written are there before the answer is. Those of reads and refusals follow within seconds.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        with acting() as act:
            response = self.get_response(request)
            entries = _entries(request, response, act)
        try:
            _write(entries)
        except DatabaseError as error:
            response.close()
            return unavailable(request, error)
        if not flusher.is_running:  # in a shell or a test
            with contextlib.suppress(DatabaseError):
                buffer.flush()
        return response

    def process_view(self, request: HttpRequest, *_view: Any) -> None:
        """Who is signed in to a page is asked before the view, which may delete the account."""
        path = request.path_info
        if path.startswith("/admin/") or (request.method in WRITES and not path.startswith("/api/")):
            with contextlib.suppress(DatabaseError, ValueError):  # the view meets it, too, and answers
                note_who(request)


def note_who(request: HttpRequest, auth: object = None) -> None:
    """Remember whose request this is: after the view, the account may be gone."""
    act = current_act()
    if act is not None and request.user.is_authenticated and "who" not in act.facts:
        act.facts["who"] = _who(request, auth)
        bind_ids(user_id=request.user.pk)


def _who(request: HttpRequest, auth: object) -> dict[str, Any]:
    user = request.user
    who = {"account_id": user.pk, "account_name": user.get_username()[:150]}
    if isinstance(auth, AccessToken):
        return {**who, "credential": Credential.TOKEN, "token_id": auth.pk, "token_name": auth.name[:100]}
    return {**who, "credential": _credential(request.META, Credential.SESSION)}


def _credential(meta: Mapping[str, Any], instead: str = Credential.NONE) -> str:
    """What the header `Authorization` holds, valid or not."""
    scheme = str(meta.get("HTTP_AUTHORIZATION", "")).partition(" ")[0].lower()
    return SCHEMES.get(scheme, instead)


def _write(entries: list[AuditEntry]) -> None:
    """One statement. A bulk of one would be a transaction of three."""
    if len(entries) == 1:
        entries[0].save(force_insert=True)
    elif entries:
        AuditEntry.objects.bulk_create(entries)


def _entries(request: HttpRequest, response: HttpResponseBase, act: Act) -> list[AuditEntry]:
    """What is to be written before the answer goes out; the rest is left to the buffer."""
    method, status = request.method or "", response.status_code
    deed = _deed(request, response, act)
    known: dict[str, Any] = act.facts.get("who", {"credential": _credential(request.META)})
    who = {"address": client_address(request.META)[:64], **known}
    for entry in act.entries:
        _complete(entry, who, status)
    entries = [*act.entries, *_signed_in(act, who["address"])]
    is_known = bool(deed.kind) and (method in WRITES or deed is SIGN_IN)
    if status in READ_REFUSALS or (status >= 400 and is_known):
        buffer.add(**_values(request, response, act, deed, who))
    elif deed in (SIGN_IN, SIGN_OUT):
        if deed is SIGN_IN and method == "POST" and status == 200:  # the form once more
            buffer.add(**who, **_tried(act), verb=deed.verb, outcome=Outcome.REFUSED, status=status)
    elif deed.is_read:
        if method in WRITES or (method == "GET" and deed.verb != "read" and _was_given(request, status)):
            buffer.add(**_values(request, response, act, deed, who))
    elif status < 400 and not act.entries and _is_write(request, response):
        entries.append(AuditEntry(**_values(request, response, act, deed, who)))
    return entries


def _was_given(request: HttpRequest, status: int) -> bool:
    """A file, or a part, or the address of one in the bucket. Pages lead elsewhere whoever is not signed in."""
    return status in (200, 206) or (status == 302 and request.path_info.startswith("/api/"))


def _is_write(request: HttpRequest, response: HttpResponseBase) -> bool:
    """Pages answer with a redirect where something was done. Where it was not, they show a form once more, or lead to
    the admin's first page: there is no such row."""
    if request.method not in WRITES or request.path_info.startswith("/api/"):
        return request.method in WRITES
    return response.status_code in (301, 302, 303) and response.headers.get("Location") != "/admin/"


def _deed(request: HttpRequest, response: HttpResponseBase, act: Act) -> Deed:
    match, path = request.resolver_match, request.path_info
    if _is_failed_sign_in(request.META, response.status_code) and "who" not in act.facts:
        return SIGN_IN
    if match is not None and match.url_name in PAGES and request.method in WRITES and not path.startswith("/api/"):
        return PAGES[match.url_name]
    deed = deed_of(request.method or "", path, "" if match is None else match.route)
    if path.startswith("/admin/") and deed not in (SIGN_IN, SIGN_OUT) and match is not None:
        return deed_of_page(match.url_name or "", is_read=request.method not in WRITES)
    return deed


def _is_failed_sign_in(meta: Mapping[str, Any], status: int) -> bool:
    """Credentials were given, and refused; or not looked at any more, since too many were wrong."""
    return status in (401, 429) and "HTTP_AUTHORIZATION" in meta


def _complete(entry: AuditEntry, who: Mapping[str, Any], status: int) -> None:
    """Entries that a page or a sign-in has left are of the same request."""
    values = {"address": who["address"]} if entry.account_id else who
    for name, value in values.items():
        setattr(entry, name, value)
    entry.status = status


def _values(
    request: HttpRequest, response: HttpResponseBase, act: Act, deed: Deed, who: Mapping[str, Any]
) -> dict[str, Any]:
    """Of the request's own entry."""
    status, facts = response.status_code, act.facts
    is_refused = status < 500 or status == 507
    outcome = Outcome.DONE if status < 400 else Outcome.REFUSED if is_refused else Outcome.FAILED
    number = facts.get("round")
    is_round = isinstance(number, int) and abs(number) < LARGEST_ROUND  # participants send any number
    values = {"training_id": facts.get("training_id"), "round": number if is_round else None}
    values["details"] = _details(request, facts)
    about = _tried(act) if deed is SIGN_IN else _object(request, response, facts, deed, who)
    return {"verb": deed.verb, "outcome": outcome, "status": status, **who, **about, **values}


def _tried(act: Act) -> dict[str, Any]:
    """The account that somebody failed to sign in to. Other names are not kept: people type passwords there."""
    tried: User | None = act.facts.get("tried")
    if tried is None:
        return {"object_kind": "account"}
    return {"object_kind": "account", "object_id": str(tried.pk), "object_name": tried.username}


def _signed_in(act: Act, address: str) -> list[AuditEntry]:
    """Who gave a right password, whatever came of the request; unless a session has said so already."""
    user: User | None = act.facts.get("signed_in")
    if user is None or any(entry.verb == SIGN_IN.verb for entry in act.entries):
        return []
    return [AuditEntry(**_session(user, Credential.PASSWORD), address=address)]


def _session(user: User, credential: str, verb: str = SIGN_IN.verb) -> dict[str, Any]:
    about = {"object_kind": "account", "object_id": str(user.pk), "object_name": user.username}
    who = {"account_id": user.pk, "account_name": user.username, "credential": credential}
    return {"verb": verb, **about, **who}


def _object(
    request: HttpRequest, response: HttpResponseBase, facts: Mapping[str, Any], deed: Deed, who: Mapping[str, Any]
) -> dict[str, Any]:
    kind, arguments = deed.kind, getattr(request.resolver_match, "kwargs", {})
    if deed.argument:
        key = arguments.get(deed.argument)
    elif kind in CREATED and response.status_code < 400 and deed.verb in ("create", "register"):
        key = _said(response, CREATED[kind])
    else:
        key = who.get("account_id") if kind == "account" else facts.get(f"{kind}_id")
    if kind == "model" and "base_id" in facts and str(key) == str(facts["model_id"]):
        kind = "update"
    name = facts.get("model_name", "") if kind in OF_MODELS else _said(response, NAMES.get(kind, ""))
    return {"object_kind": kind[:32], "object_id": short(key or "", 64), "object_name": short(name, 200)}


def _said(response: HttpResponseBase, name: str) -> Any:
    """What the answer says under this name, where something was done."""
    data = getattr(response, "data", None)
    return data.get(name, "") if isinstance(data, dict) and response.status_code < 400 else ""


def _details(request: HttpRequest, facts: Mapping[str, Any]) -> dict[str, Any]:
    details: dict[str, Any] = people_of(facts.get("accounts", []))
    for name, fact in (("update", "update_id"), ("of model", "base_id")):
        if fact in facts:
            details[name] = str(facts[fact])
    version = getattr(request.resolver_match, "kwargs", {}).get("number", facts.get("version"))
    return details if version is None else {**details, "version": version}


def _note_session(user: User | None, verb: str) -> None:
    """A session began or ended, by a form or at a provider."""
    act = current_act()
    if act is None or user is None:
        return
    credential = Credential.IDENTITY if "OIDC" in getattr(user, "backend", "") else Credential.SESSION
    act.entries.append(AuditEntry(**_session(user, credential, verb)))


def _note_beginning(user: User | None = None, **_: Any) -> None:
    _note_session(user, SIGN_IN.verb)


def _note_end(user: User | None = None, **_: Any) -> None:
    _note_session(user, SIGN_OUT.verb)


user_logged_in.connect(_note_beginning)
user_logged_out.connect(_note_end)


def note_refusal(meta: Mapping[str, Any], status: int) -> None:
    """Of a request that was refused before any view: by the front, or as a known guess. Costs no statement."""
    if status not in READ_REFUSALS:
        return
    method, path = str(meta.get("REQUEST_METHOD", "")), str(meta.get("PATH_INFO", ""))
    deed = SIGN_IN if _is_failed_sign_in(meta, status) else deed_of(method, path, "")
    where = {"address": client_address(meta)[:64], "credential": _credential(meta)}
    what = {"verb": deed.verb, "object_kind": deed.kind, "outcome": Outcome.REFUSED, "status": status}
    buffer.add(**where, **what)


def note_early_sign_in(act: Act, meta: Mapping[str, Any]) -> None:
    """A password was right, in a look at a request's header. The view finds it remembered."""
    user: User | None = act.facts.get("signed_in")
    if user is not None:
        buffer.add(**_session(user, Credential.PASSWORD), address=client_address(meta)[:64])
