from __future__ import annotations

from typing import Any

from django.db.models import FileField, Model
from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver

from fl_server_core.models import (
    GlobalModel,
    LocalModel,
    ModelVersion,
    SubmissionFile,
    User,
    VersionFile,
)
from fl_server_core.services.files import forget_files
from fl_server_core.services.tokens import api_token_of, end_all_tokens

WITH_FILES = (GlobalModel, LocalModel, ModelVersion, VersionFile, SubmissionFile)


@receiver(post_save, sender=User)
def create_token(instance: User, created: bool, raw: bool = False, **_kwargs: Any) -> None:
    """A user gets its token when it is created."""
    if created and not raw:
        api_token_of(instance)


@receiver(post_save, sender=User)
def end_tokens(instance: User, created: bool, raw: bool = False, **_kwargs: Any) -> None:
    """Tokens end with a password that Django's own form or command sets. Services end them themselves.

    A hash that is only brought up to date keeps them: it leaves no plain password on the user.
    """
    if not created and not raw and getattr(instance, "_password", None) is not None:
        end_all_tokens(instance)


def forget_files_of(instance: Model, **_kwargs: Any) -> None:
    """The files of a deleted row go after the commit, unless another row names them."""
    fields = [field for field in instance._meta.local_fields if isinstance(field, FileField)]
    forget_files([name for field in fields if (name := getattr(instance, field.attname).name)])


for model in WITH_FILES:
    post_delete.connect(forget_files_of, sender=model)
