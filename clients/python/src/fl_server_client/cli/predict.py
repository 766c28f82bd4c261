"""`fl predict`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import MissingPackage
from . import reaching
from .output import JSON, print_json, print_rows


def predict(
    model: Annotated[str, typer.Argument(help="The model's id.")],
    source: Annotated[
        str,
        typer.Argument(metavar="INPUT", help="A file: JSON, .npy, torch's of a tensor, or an image. - reads JSON."),
    ],
    version: Annotated[int | None, typer.Option(help="A version's number; without it, the current one.")] = None,
    json_: JSON = False,
) -> None:
    """Ask a model for an inference, with its uncertainty."""
    inputs = inputs_of(source)
    with reaching.actor() as actor:
        answer = actor.predict(model, inputs, version=version)
    found = {"inference": answer.output, "uncertainty": answer.uncertainty}
    if json_:
        print_json(found)
        return
    figures = {key: values for key, values in answer.uncertainty.items() if isinstance(values, list)}
    rows = [
        {"sample": number, "inference": output, **{key: values[number] for key, values in figures.items()}}
        for number, output in enumerate(answer.output)
    ]
    print_rows(rows, ["sample", "inference", *figures], json=False)


def inputs_of(source: str) -> Any:
    """What `Actor.predict` takes. Raises ValueError, OSError, MissingPackage."""
    if source == "-":
        return _json(sys.stdin.read(), "standard input")
    path = Path(source)
    if not path.is_file():
        raise ValueError(f"The file {source} doesn't exist.")
    if path.suffix == ".json":
        return _json(path.read_text(), source)
    if path.suffix == ".npy":
        try:
            import numpy as np
        except ModuleNotFoundError as error:
            raise MissingPackage("numpy", "numpy") from error
        try:
            return np.load(path, allow_pickle=False).tolist()
        except (ValueError, EOFError) as error:
            raise ValueError(f"{source} must be an array that numpy has saved: {error}") from error
    return path


def _json(text: str, name: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError(f"{name} must be JSON: {error}") from None
