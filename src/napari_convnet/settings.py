"""Settings: frozen values whose defaults, ranges and help texts are written once.

A field is ``name: Annotated[type, {...}] = default``; the dictionary holds magicgui's own option names
(``min``, ``max``, ``step``, ``choices``, ``label``, ``tooltip``), so forms, the command line and the
documentation are all made from the same line.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_type_hints

from napari_convnet.errors import UserError


def field_options(settings: type) -> dict[str, dict[str, Any]]:
    """Return the option dictionary of every field of a settings class, by field name."""
    hints = get_type_hints(settings, include_extras=True)
    return {
        field.name: next((a for a in get_args(hints[field.name])[1:] if isinstance(a, dict)), {})
        for field in dataclasses.fields(settings)
    }


def check_fields(settings: Any) -> None:
    """Refuse a value of the wrong type, outside its range or not among its choices.

    Raises
    ------
    UserError
        Naming the setting, the value got and what was expected.
    """
    hints = get_type_hints(type(settings))
    for name, options in field_options(type(settings)).items():
        value = getattr(settings, name)
        number = int if hints[name] is int else float if hints[name] is float else None
        if number is int and (isinstance(value, bool) or not isinstance(value, int)):
            raise UserError("CN-501", f"'{name}' is {value!r}; it must be a whole number.")
        if number is float and (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not math.isfinite(value)
        ):
            raise UserError("CN-501", f"'{name}' is {value!r}; it must be a number.")
        low, high = options.get("min"), options.get("max")
        if number and ((low is not None and value < low) or (high is not None and value > high)):
            raise UserError("CN-501", f"'{name}' is {value}; it must lie between {low} and {high}.")
        if "choices" in options and value not in options["choices"]:
            choices = ", ".join(map(str, options["choices"]))
            raise UserError("CN-501", f"'{name}' is {value!r}; choose one of {choices}.")


class Checked:
    """Mixin that checks the fields of a frozen settings dataclass when it is made."""

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True)
class TrainingSettings(Checked):
    """How a network is trained. The defaults work for a few dozen annotations on a CPU."""

    epochs: Annotated[
        int,
        {
            "min": 1,
            "max": 10_000,
            "tooltip": "Passes over the training samples. More can help until the validation loss rises.",
        },
    ] = 40
    max_seconds: Annotated[
        float,
        {
            "min": 0.0,
            "max": 1e7,
            "step": 10.0,
            "label": "time limit (s)",
            "tooltip": "Stop after this many seconds and keep the best model; 0 means no limit.",
        },
    ] = 0.0
    batch_size: Annotated[
        int,
        {
            "min": 1,
            "max": 4096,
            "tooltip": "Samples per training step. Less memory with a smaller number.",
        },
    ] = 16
    learning_rate: Annotated[
        float,
        {
            "min": 1e-6,
            "max": 1.0,
            "step": 1e-6,
            "tooltip": "Size of a training step at the start; it falls along half a cosine to the end.",
        },
    ] = 2e-3
    weight_decay: Annotated[
        float,
        {
            "min": 0.0,
            "max": 1.0,
            "step": 1e-6,
            "tooltip": "How strongly large weights are discouraged (AdamW).",
        },
    ] = 1e-4
    validation_fraction: Annotated[
        float,
        {
            "min": 0.0,
            "max": 0.9,
            "step": 0.05,
            "label": "held out",
            "tooltip": "Share of the annotations that training never sees and the score is measured on.",
        },
    ] = 0.2
    augment: Annotated[
        bool,
        {
            "tooltip": "Show flipped, turned, scaled and brightened copies: more variety from few annotations.",
        },
    ] = True
    balance: Annotated[
        bool,
        {
            "label": "balance classes",
            "tooltip": "Let rare classes count more, by the inverse root of their counts.",
        },
    ] = True
    device: Annotated[
        str,
        {
            "choices": ("auto", "cpu", "cuda", "mps"),
            "tooltip": "Where to compute; auto takes the graphics card when it really works.",
        },
    ] = "auto"
    seed: Annotated[
        int,
        {
            "min": 0,
            "max": 2**31 - 1,
            "tooltip": "Same seed, same data, same machine: the same model.",
        },
    ] = 0
    freeze_backbone: Annotated[
        bool,
        {
            "tooltip": "Train only the last layer of a pretrained network: fast, and good with few samples.",
        },
    ] = False
