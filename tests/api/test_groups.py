from __future__ import annotations

import pytest
from django.contrib.auth.models import Group

from fl_server_core.exceptions import InvalidValue
from fl_server_core.services.groups import create_group, rename_group
from tests.api.conftest import People
from tests.builders.clients import client_of
from tests.builders.rows import make_user

NOT_A_MEMBER = {"detail": "You are not allowed to access this group."}


@pytest.fixture
def group(people: People) -> Group:
    """A group with the actor in it."""
    group = Group.objects.create(name="radiology")
    people.actor.user.groups.add(group)
    return group


@pytest.mark.parametrize("format", ["json", "multipart"])
def test_anyone_signed_in_makes_a_group_without_becoming_a_member(people: People, format: str) -> None:
    answer = people.outsider.client.post("/api/groups/", {"name": "radiology"}, format=format)
    group = Group.objects.get()
    assert (answer.status_code, answer.json()) == (201, {"id": group.pk, "name": "radiology"})
    assert people.outsider.client.get("/api/users/groups/").json() == []
    assert people.outsider.client.get(f"/api/groups/{group.pk}/").status_code == 403


def test_a_group_needs_a_name_of_its_own(people: People, group: Group) -> None:
    taken = people.outsider.client.post("/api/groups/", {"name": "radiology"}, format="json")
    missing = people.outsider.client.post("/api/groups/", {}, format="json")
    assert (taken.status_code, taken.json()) == (400, {"name": ["group with this name already exists."]})
    assert (missing.status_code, missing.json()) == (400, {"name": ["This field is required."]})


def test_a_name_taken_at_the_same_moment_is_refused_too(people: People, group: Group) -> None:
    other = create_group(name="oncology")
    people.actor.user.groups.add(other)
    with pytest.raises(InvalidValue):
        create_group(name="radiology")
    with pytest.raises(InvalidValue):
        rename_group(group_id=other.pk, user=people.actor.user, name="radiology")


def test_only_superusers_list_all_groups(people: People, group: Group) -> None:
    refused = people.actor.client.get("/api/groups/")
    assert (refused.status_code, refused.json()) == (403, {"detail": "You are not allowed to access all groups."})
    listed = client_of(make_user("root", is_superuser=True)).get("/api/groups/")
    assert (listed.status_code, listed.json()) == (200, [{"id": group.pk, "name": "radiology"}])


def test_a_member_reads_renames_and_removes_its_group(people: People, group: Group) -> None:
    client, path = people.actor.client, f"/api/groups/{group.pk}/"
    assert client.get("/api/users/groups/").json() == [{"id": group.pk, "name": "radiology"}]
    assert client.get(path).json() == {"id": group.pk, "name": "radiology"}
    assert client.put(path, {"name": "oncology"}, format="json").json() == {"id": group.pk, "name": "oncology"}
    assert client.patch(path, {}, format="json").json() == {"id": group.pk, "name": "oncology"}
    assert client.patch(path, {"name": "oncology"}, format="json").status_code == 200
    assert client.put(path, {}, format="json").status_code == 400
    removed = client.delete(path)
    assert (removed.status_code, removed.content) == (204, b"")
    assert not Group.objects.exists()


@pytest.mark.parametrize("method", ["get", "put", "patch", "delete"])
def test_who_is_not_in_a_group_may_not_touch_it(people: People, group: Group, method: str) -> None:
    answer = getattr(people.outsider.client, method)(f"/api/groups/{group.pk}/", {"name": "x"}, format="json")
    assert (answer.status_code, answer.json()) == (403, NOT_A_MEMBER)
    assert Group.objects.get().name == "radiology"


@pytest.mark.parametrize("number", [99999999, 10**40])
def test_no_such_group_is_a_400(people: People, number: int) -> None:
    answer = people.actor.client.get(f"/api/groups/{number}/")
    assert (answer.status_code, answer.json()) == (400, {"detail": f"Group {number} not found."})


def test_a_group_id_that_is_no_number_is_a_404(people: People) -> None:
    answer = people.actor.client.get("/api/groups/abc/")
    assert (answer.status_code, answer.json()) == (404, {"detail": "Not found."})
    assert answer["Content-Type"] == "application/json"


def test_groups_need_a_login(people: People, group: Group) -> None:
    assert people.nobody.get("/api/groups/").status_code == 401
    assert people.nobody.post("/api/groups/", {"name": "x"}).status_code == 401
    assert people.nobody.delete(f"/api/groups/{group.pk}/").status_code == 401
