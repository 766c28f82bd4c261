"""Django's classes as the type checker knows them: generic. While the program runs, they cannot be subscripted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django import forms
from django.contrib import admin

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin
    from django.forms import ModelForm
else:

    class ModelAdmin(admin.ModelAdmin):
        def __class_getitem__(cls, _row: object) -> type:
            return cls

    class ModelForm(forms.ModelForm):
        def __class_getitem__(cls, _row: object) -> type:
            return cls


__all__ = ["ModelAdmin", "ModelForm"]
