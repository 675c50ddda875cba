"""How a person hears of what did not work: one message, in the words of the error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari.utils.notifications import show_warning

from napari_convnet.errors import UserError


def guarded(action: Callable[[], Any]) -> Any:
    """Carry out an action; a user's error is shown as one message, anything else is a bug and goes on."""
    try:
        return action()
    except UserError as error:
        show_warning(error.message)
        return None
