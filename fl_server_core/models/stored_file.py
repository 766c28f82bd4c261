from __future__ import annotations

from django.db import models


class StoredFile(models.Model):
    """How large a stored file is: written down once, so that counting an account's bytes does not ask the storage.

    Files never change under their name. A file without a row is measured when it is first counted.
    """

    name = models.CharField(max_length=100, primary_key=True)
    size = models.PositiveBigIntegerField(help_text="Bytes.")

    def __str__(self) -> str:
        return self.name
