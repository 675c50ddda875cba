"""The options of every `train` command, written once: the common ones, and one for each training setting."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any, get_args, get_type_hints

import typer

from napari_convnet.cli.options import (
    BatchSize,
    Device,
    Epochs,
    Freeze,
    Groups,
    LearningRate,
    MaxSeconds,
    Network,
    Output,
    Pretrained,
    Report,
    Seed,
    Size,
    StartFrom,
    Validation,
)
from napari_convnet.settings import TrainingSettings, field_options

_REQUIRED = inspect.Parameter.empty
#: Type and default of each common option; a network's name is the command's own default.
_COMMON: dict[str, tuple[Any, Any]] = {
    "output": (Output, _REQUIRED),
    "network": (Network, ""),
    "epochs": (Epochs, None),
    "max_seconds": (MaxSeconds, 0.0),
    "seed": (Seed, 0),
    "validation": (Validation, "0.2"),
    "groups": (Groups, None),
    "batch_size": (BatchSize, None),
    "learning_rate": (LearningRate, None),
    "pretrained": (Pretrained, "none"),
    "freeze": (Freeze, False),
    "start_from": (StartFrom, None),
    "size": (Size, None),
    "device": (Device, "auto"),
    "report": (Report, None),
}
#: Settings that a common option sets, some by another name.
_SET_ALREADY = {*_COMMON, "validation_fraction", "freeze_backbone"}


def with_training_options(network: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command every option of training.

    The command's parameter ``options`` gets them as a dictionary, the arguments of
    `napari_convnet.cli.train.Options`; the settings that have no common option are in it under
    ``training``.

    Parameters
    ----------
    network
        The command's default network.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        hints = get_type_hints(command, include_extras=True)
        own = [p for p in inspect.signature(command).parameters.values() if p.name != "options"]
        own = [parameter.replace(annotation=hints[parameter.name]) for parameter in own]
        parameters = _in_order([*own, *_common(network), *_settings()])

        @functools.wraps(command)
        def run(**values: Any) -> None:
            options = {name: values.pop(name) for name in _COMMON}
            options["training"] = {p.name: values.pop(p.name) for p in _settings()}
            command(**values, options=options)

        del run.__wrapped__  # typer would look through to the command's own parameters
        run.__signature__ = inspect.Signature(parameters)
        run.__annotations__ = {p.name: p.annotation for p in parameters} | {"return": None}
        return run

    return decorate


def _in_order(parameters: list[inspect.Parameter]) -> list[inspect.Parameter]:
    """Put parameters without a default first, as a signature needs it."""
    return sorted(parameters, key=lambda parameter: parameter.default is not _REQUIRED)


def _common(network: str) -> list[inspect.Parameter]:
    return [
        _parameter(name, network if name == "network" else default, annotation)
        for name, (annotation, default) in _COMMON.items()
    ]


@functools.cache
def _settings() -> tuple[inspect.Parameter, ...]:
    hints = get_type_hints(TrainingSettings, include_extras=True)
    options = field_options(TrainingSettings)
    return tuple(
        _parameter(
            field.name,
            field.default,
            Annotated[get_args(hints[field.name])[0], _option(field.name, options[field.name])],
        )
        for field in dataclasses.fields(TrainingSettings)
        if field.name not in _SET_ALREADY
    )


def _option(name: str, options: dict[str, Any]) -> Any:
    flag = "--" + name.replace("_", "-")
    is_switch = not {"min", "choices"} & options.keys()
    return typer.Option(
        f"{flag}/--no-{flag[2:]}" if is_switch else flag,
        help=options["tooltip"],
        metavar="|".join(options["choices"]) if "choices" in options else None,
        min=options.get("min"),
        max=options.get("max"),
        rich_help_panel=f"Training: {options['group']}",
    )


def _parameter(name: str, default: Any, annotation: Any) -> inspect.Parameter:
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return inspect.Parameter(name, kind, default=default, annotation=annotation)
