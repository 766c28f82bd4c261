from __future__ import annotations

from typing import Any

from django.db.models.signals import post_save
from django.dispatch import receiver
from rest_framework.authtoken.models import Token

from fl_server_core.models import User


@receiver(post_save, sender=User)
def create_token(instance: User, created: bool, raw: bool = False, **_kwargs: Any) -> None:
    """A user gets its token when it is created."""
    if created and not raw:
        Token.objects.create(user=instance)
