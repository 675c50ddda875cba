"""Fields of settings: default, range and help text of a value, written once and checked.

A field is ``name: Annotated[type, {...}] = default``; the dictionary holds magicgui's own option names
(``min``, ``max``, ``step``, ``choices``, ``label``, ``tooltip``) and ``group``, under which forms and
the command line show it; all of them and the documentation are made from the same line.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any, get_args, get_type_hints

from napari_convnet.errors import UserError


def field_options(settings: type) -> dict[str, dict[str, Any]]:
    """Return the option dictionary of every field of a settings class, by field name."""
    hints = get_type_hints(settings, include_extras=True)
    return {
        field.name: next((a for a in get_args(hints[field.name])[1:] if isinstance(a, dict)), {})
        for field in dataclasses.fields(settings)
    }


@functools.cache  # a network has hundreds of layers, each with settings
def _hints_and_options(settings: type) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    return get_type_hints(settings), field_options(settings)


def check_fields(settings: Any) -> None:
    """Refuse a value of the wrong type, outside its range or not among its choices.

    Raises
    ------
    UserError
        Naming the setting, the value got and what was expected.
    """
    hints, all_options = _hints_and_options(type(settings))
    for name, options in all_options.items():
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
