"""`fl model`: upload, download, versions."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from . import reaching
from .output import DIRECT, JSON, print_row, print_rows, progress_bar, size_of

app = typer.Typer(help="Models: upload, download, versions.", no_args_is_help=True)
FREE = ("none", "null", "?", "-")


class Kind(StrEnum):
    """What a model is for."""

    GLOBAL = "GLOBAL"
    SWAG = "SWAG"


class Form(StrEnum):
    """How a model's file is written."""

    torch = "torch"
    safetensors = "safetensors"


@app.command("list")
def list_models(json_: JSON = False) -> None:
    """List the models that you may see."""
    with reaching.actor() as actor:
        rows = [row for row in actor.models() if "base_model" not in row]
    print_rows(rows, ["id", "name", "round", "description"], json=json_)


@app.command()
def push(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The file that torch wrote of a module.")],
    name: Annotated[str, typer.Option(help="The model's name. Without it: the file's.")] = "",
    description: Annotated[str, typer.Option(help="Without it: the name.")] = "",
    kind: Annotated[Kind, typer.Option(help="SWAG for the uncertainty method of this name.")] = Kind.GLOBAL,
    input_shape: Annotated[
        str, typer.Option(help="Sizes with commas, a ? for one that is free. For example ?,3,32,32.")
    ] = "",
    preprocessing: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="The file of a module that an inference's input goes through first."
        ),
    ] = None,
    json_: JSON = False,
) -> None:
    """Upload a model."""
    with reaching.transfer() as actor, progress_bar("uploading", json=json_) as progress:
        model = actor.upload_model(
            file,
            name or file.stem,
            description=description,
            kind=kind.value,
            input_shape=shape_of(input_shape),
            preprocessing=preprocessing,
            progress=progress,
        )
    print_row({"id": model}, json=json_, sentence=f"The model's id is {model}.")


@app.command()
def pull(
    model: Annotated[str, typer.Argument(help="The model's id.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to write the file.")],
    version: Annotated[int | None, typer.Option(help="A version's number; without it, the current one.")] = None,
    form: Annotated[Form, typer.Option("--format", help="safetensors carry tensors and no code.")] = Form.torch,
    direct: DIRECT = False,
    json_: JSON = False,
) -> None:
    """Download a model. A download that breaks off goes on where it stopped."""
    if not output.parent.is_dir():
        raise ValueError(f"{output.name} can't be written: the folder {output.parent} doesn't exist.")
    if output.is_dir():
        raise ValueError(f"{output} is a folder: name the file to write.")
    with reaching.transfer(direct=direct) as actor, progress_bar("downloading", json=json_) as progress:
        actor.download_to(output, model, version=version, form=form.value, progress=progress)
    size = output.stat().st_size
    print_row({"path": str(output), "size": size}, json=json_, sentence=f"{output} has the model, {size_of(size)}.")


@app.command()
def versions(model: Annotated[str, typer.Argument(help="The model's id.")], json_: JSON = False) -> None:
    """List a model's versions with the means of what the participants measured."""
    with reaching.actor() as actor:
        rows = actor.versions(model)
    shown = rows if json_ else [row | {"size": size_of(row.get("size"))} for row in rows]
    print_rows(shown, ["version", "created_at", "size", "available", "name", "metrics"], json=json_)


@app.command()
def restore(
    model: Annotated[str, typer.Argument(help="The model's id.")],
    version: Annotated[int, typer.Argument(help="The version's number.")],
    json_: JSON = False,
) -> None:
    """Make a new version with the file of an earlier one."""
    with reaching.actor() as actor:
        row = actor.restore(model, version)
    print_row(row, json=json_, sentence=f"Version {row['version']} has the file of version {version}.")


def shape_of(text: str) -> list[int | None]:
    """A shape as it is typed. Raises ValueError."""
    words = [word.strip().lower() for word in text.split(",")] if text.strip() else []
    try:
        return [None if word in FREE else int(word) for word in words]
    except ValueError:
        raise ValueError(f"{text!r} must be a shape such as ?,3,32,32.") from None
