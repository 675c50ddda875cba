"""Points that change while napari's status line asks for the one under the mouse, which it does in a thread."""

from __future__ import annotations

import threading
from typing import Any

from napari.layers import Layer, Points


def answer_while_changing(layer: Layer) -> None:
    """Let a thread that asks a layer of points for a value in the middle of a change hear of none.

    napari reads places and sizes one after the other; if points come or go in between, the two do not fit, and the
    person would be told of an error that none of them made. On the GUI thread nothing changes meanwhile, so an
    error there is one.
    """
    if not isinstance(layer, Points):
        return
    ask = layer.get_value

    def get_value(*arguments: Any, **options: Any) -> Any:
        try:
            return ask(*arguments, **options)
        except (ValueError, IndexError):
            if threading.current_thread() is threading.main_thread():
                raise
            return None

    layer.get_value = get_value
