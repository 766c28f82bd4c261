"""A training and a model to look at. A test that needs others of these names makes them itself."""

from __future__ import annotations

import pytest

from fl_server_core.models import GlobalModel, Training, User
from fl_server_core.models.model_version import append_version, store_weights
from tests.builders.files import pickled_linear
from tests.builders.rows import make_model, make_running, make_user


@pytest.fixture
def clinics(db: None) -> list[User]:
    return [make_user(f"clinic-{index}") for index in range(1, 6)]


@pytest.fixture
def training(clinics: list[User]) -> Training:
    return make_running(make_user("actor"), clinics, name="lungs", target_num_updates=40)


@pytest.fixture
def owner(db: None) -> User:
    return make_user("owner", is_staff=True)


@pytest.fixture
def model(owner: User) -> GlobalModel:
    """One of two versions, whose weights are all 1 and all 3."""
    model: GlobalModel = make_model(owner, name="lungs", weights=pickled_linear(1.0), input_shape=[None, 3])
    append_version(model, store_weights(pickled_linear(3.0)))
    return model
