"""The pages of models and the comparison, shown to accounts that aren't staff by a site of its own."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.auth.decorators import login_required
from django.urls import include, path

from fl_server.urls import urlpatterns as server_urls
from fl_server_api.pages.comparison import ComparisonPages
from fl_server_api.pages.model import ModelPages
from fl_server_api.pages.training import Frame, TrainingPages
from fl_server_core.models import GlobalModel, Training, User
from tests.builders.clients import browser_of
from tests.builders.rows import make_model, make_training, make_user

FRAME = Frame("admin/base_site.html", "site", "compare", lambda _request: {})
FORMS = "/admin/fl_server_core/"
PAGES = (TrainingPages(FRAME), ModelPages(FRAME), ComparisonPages(FRAME))
urlpatterns: list[Any] = [
    path("site/", include(([url for page in PAGES for url in page.urls(login_required)], "site"))),
    *server_urls,
]

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def site(settings: LazySettings) -> None:
    settings.ROOT_URLCONF = __name__


@pytest.fixture
def owner(db: None) -> User:
    return make_user("owner")


@pytest.fixture
def training(owner: User) -> Training:
    return make_training(owner, [make_user("participant")], make_model(owner, name="lungs"))


def page_of(user: User, address: str) -> str:
    answer = browser_of(user).get(address)
    assert answer.status_code == 200, address
    return answer.content.decode()


def test_owners_and_participants_look_and_find_no_way_into_the_admin(training: Training, owner: User) -> None:
    at = f"/site/models/{training.model_id}/"
    for user in (owner, training.participants.get()):
        for end in ("", "file/", "difference/?first=0&second=0", "try/"):
            assert FORMS not in page_of(user, at + end)
        compared = page_of(user, f"/site/trainings/compare/?id={training.pk}")
        assert f"/site/trainings/{training.pk}/" in compared
        assert FORMS not in compared
    assert f"{at}versions/0/describe/" in page_of(owner, at)
    assert "/versions/0/" not in page_of(training.participants.get(), at)


def test_an_owner_names_a_version_and_asks_the_model(training: Training, owner: User) -> None:
    at = f"/site/models/{training.model_id}/"
    client = browser_of(owner)
    assert client.post(f"{at}versions/0/describe/", {"name": "mine"})["Location"] == at
    assert GlobalModel.objects.get().versions.get().name == "mine"
    answer = client.post(f"{at}try/", {"text": "[[1, 2, 3]]"})
    assert "Most likely: class 0." in answer.content.decode()


def test_outsiders_and_strangers_see_nothing(training: Training) -> None:
    for end in ("", "file/", "difference/", "try/", "curves/"):
        assert browser_of(make_user()).get(f"/site/models/{training.model_id}/{end}").status_code == 403
    assert browser_of(make_user()).get(f"/site/trainings/compare/?id={training.pk}").status_code == 403
