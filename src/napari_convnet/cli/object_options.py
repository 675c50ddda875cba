"""The options of a command that forms objects, one for each field of `ObjectSettings`."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any, get_args, get_type_hints

import typer

from napari_convnet.settings import ObjectSettings, field_options


def with_object_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options; its parameter ``objects`` gets them as `ObjectSettings`."""
    hints = get_type_hints(command, include_extras=True)
    own = [p for p in inspect.signature(command).parameters.values() if p.name != "objects"]
    parameters = [parameter.replace(annotation=hints[parameter.name]) for parameter in own]
    names = [field.name for field in dataclasses.fields(ObjectSettings)]
    parameters += [_parameter(field) for field in dataclasses.fields(ObjectSettings)]

    @functools.wraps(command)
    def run(**values: Any) -> None:
        settings = ObjectSettings(**{name: values.pop(name) for name in names})
        command(**values, objects=settings)

    del run.__wrapped__  # typer would look through to the command's own parameters
    run.__signature__ = inspect.Signature(parameters)
    run.__annotations__ = {p.name: p.annotation for p in parameters} | {"return": None}
    return run


def _parameter(field: dataclasses.Field) -> inspect.Parameter:
    options = field_options(ObjectSettings)[field.name]
    kind = get_args(get_type_hints(ObjectSettings, include_extras=True)[field.name])[0]
    flag = "--" + field.name.replace("_", "-")
    option = typer.Option(
        f"{flag}/--no-{flag[2:]}" if kind is bool else flag,
        help=options["tooltip"],
        metavar="|".join(options["choices"]) if "choices" in options else None,
        min=options.get("min"),
        max=options.get("max"),
        rich_help_panel="Objects of a segmentation",
    )
    form = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return inspect.Parameter(
        field.name, form, default=field.default, annotation=Annotated[kind, option]
    )
