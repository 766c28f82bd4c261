import pytest
from django.db import IntegrityError, transaction

from fl_server_core.models import Installation, installation
from fl_server_core.models.installation import installation_id
from tests.builders.threads import at_once


@pytest.mark.django_db(transaction=True)
def test_an_installation_has_one_id_however_many_ask_for_it_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "_known", None)
    found = set(at_once(*[installation_id] * 8))
    assert found == {Installation.objects.get().identifier.hex}
    assert {installation_id()} == found


@pytest.mark.django_db(transaction=True)
def test_an_id_that_was_rolled_back_is_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "_known", None)
    with transaction.atomic():
        lost = installation_id()
        transaction.set_rollback(True)
    assert installation_id() != lost
    assert installation_id() == Installation.objects.get().identifier.hex


@pytest.mark.django_db
def test_there_is_one_row_only() -> None:
    installation_id()
    with pytest.raises(IntegrityError), transaction.atomic():
        Installation.objects.create(number=2)
