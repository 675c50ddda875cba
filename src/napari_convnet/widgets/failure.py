"""Words for a job that failed: what happened, what is safe, one thing to do."""

from __future__ import annotations

import sys
import traceback
from dataclasses import dataclass, replace

from napari_convnet.errors import UserError

_OUT_OF_MEMORY_WORDS = ("out of memory", "can't allocate memory", "cannot allocate memory")


@dataclass(frozen=True)
class Failure:
    """An exception in a person's words.

    Parameters
    ----------
    code
        Catalogue code; CN-200 is an unexpected exception (a bug).
    text
        Plain text to show at once, at most 300 characters.
    details
        What belongs behind *Details*: the traceback, or a `UserError`'s own details.
    """

    code: str
    text: str
    details: str


def explain(error: BaseException, description: str) -> Failure:
    """Put an exception of the job called ``description`` (such as "Training") into words."""
    if is_interrupted_training(error):
        cause = explain(error.__cause__, description)
        model = (
            f"the model of epoch {error.epoch}" if error.epoch else "what was learned until then"
        )
        kept = f"Your annotations are safe, and {model} is kept."
        return replace(cause, text=cause.text.replace("Your annotations are safe.", kept))
    if isinstance(error, UserError):
        return Failure(error.code, error.message, error.details)
    details = "".join(traceback.format_exception(error))
    if is_out_of_memory(error):
        return Failure("CN-201", _out_of_memory_text(error, description), details)
    if isinstance(error, FloatingPointError):
        text = (
            f"{description} stopped: the numbers became invalid. Your annotations are safe. "
            "Usual cause: the learning rate is too high; try a tenth of it."
        )
        return Failure("CN-202", text, details)
    first_line = (str(error).strip().splitlines() or [""])[0][:100]
    reason = f"{type(error).__name__}: {first_line}" if first_line else type(error).__name__
    text = (
        f"{description} stopped because of an unexpected error ({reason}). "
        "Your annotations are safe. Try again; if it comes back, report it with the details."
    )
    return Failure("CN-200", text, details)


def is_interrupted_training(error: BaseException | None) -> bool:
    """Return True for `napari_convnet.training.TrainingInterrupted`, without importing torch for it."""
    return error is not None and hasattr(error, "model") and error.__cause__ is not None


def is_out_of_memory(error: BaseException) -> bool:
    """Return True when memory of the computer or of the graphics card ran out."""
    if is_interrupted_training(error):
        return is_out_of_memory(error.__cause__)
    # torch reports a full main memory as a plain RuntimeError, so only its words tell.
    words = str(error).lower() if isinstance(error, RuntimeError | OSError) else ""
    return (
        isinstance(error, MemoryError)
        or _is_full_graphics_card(error)
        or any(phrase in words for phrase in _OUT_OF_MEMORY_WORDS)
    )


def forget_frames(error: BaseException) -> None:
    """Drop the tracebacks of an exception and of those behind it.

    Their frames hold the network and its gradients, which would stay in memory as long as the
    exception does.
    """
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()
    while waiting:
        current = waiting.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        current.__traceback__ = None
        waiting += [current.__cause__, current.__context__]


def _is_full_graphics_card(error: BaseException) -> bool:
    torch = sys.modules.get("torch")  # an error of torch's can only come once torch is imported
    return torch is not None and isinstance(error, torch.OutOfMemoryError)


def _out_of_memory_text(error: BaseException, description: str) -> str:
    words = str(error)
    if _is_full_graphics_card(error) or "CUDA" in words or "MPS" in words:
        return (
            f"{description} stopped: the graphics card ran out of memory. Your annotations are "
            "safe. Try a smaller patch or batch size, or choose the device 'cpu'."
        )
    return (
        f"{description} stopped: the computer ran out of memory. Your annotations are safe. "
        "Close other programs, or try a smaller patch or batch size."
    )
