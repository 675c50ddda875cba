"""The words in which a file is refused: what happened, what is safe, one thing to do."""

from __future__ import annotations

import unicodedata

from napari_convnet.errors import UserError


def plain_name(text: str, limit: int = 60) -> str:
    """Return ``text`` as it may be shown: no control characters, no tags, not too long.

    A file from a stranger may be called ``<img src=...>``, which Qt would draw, or hold characters
    that turn the text around, so that ``gpj.exe`` reads ``exe.jpg``.
    """
    kept = "".join("?" if unicodedata.category(c) in _HIDDEN else c for c in text)
    kept = kept.replace("<", "\u2039").replace(">", "\u203a")
    return kept if len(kept) <= limit else kept[: limit - 20] + "\u2026" + kept[-19:]


#: Control, format (direction marks), surrogate, private, unassigned; line and paragraph ends.
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def format_bytes(size: int) -> str:
    """Write a size as people say it: ``41 GB``, ``220 MB``, ``3 KB``."""
    for unit, step in (("GB", 1e9), ("MB", 1e6), ("KB", 1e3)):
        if size >= step:
            return f"{size / step:,.3g} {unit}" if size < 1e12 else f"{size / step:,.0f} {unit}"
    return f"{size} bytes"


def too_large(size: int, limit: int) -> str:
    """Say how large a model would become, as the reason of `invalid`."""
    return f"it would unpack to {format_bytes(size)}; limit {format_bytes(limit)}"


def runs_programs(name: str) -> UserError:
    """Refuse a file of a kind whose very opening can run programs (pickle)."""
    return UserError(
        "CN-101",
        f"'{name}' was not opened. This kind of file can run programs on your computer. Ask the "
        "sender to use Export model, which makes a .safetensors file. Nothing was changed.",
    )


def needs_code(name: str) -> UserError:
    """Refuse a file that brings its own network as code or as a graph."""
    return UserError(
        "CN-102",
        f"'{name}' needs its own program code to work, and this plugin never runs code from a "
        "model file. Ask the sender for a .safetensors file. Nothing was changed.",
    )


def damaged(name: str, how: str) -> UserError:
    """Refuse a file that is not as it was written."""
    return UserError(
        "CN-103",
        f"'{name}' is damaged ({how}). Please copy or download it again. Nothing was changed.",
    )


def newer(name: str, version: int, known: int) -> UserError:
    """Refuse a file of a format that this version does not know yet."""
    return UserError(
        "CN-104",
        f"'{name}' was made with a newer version (format {version}; this plugin reads up to "
        f"{known}). Update napari-convnet and try again.",
    )


def invalid(name: str, why: str, details: str = "") -> UserError:
    """Refuse a file that breaks a rule of the format."""
    return UserError(
        "CN-105",
        f"'{name}' is not a valid model file ({plain_name(why, 120)}). Not opened; nothing was "
        "changed. Ask the sender to export it again.",
        details,
    )


def weights_only(name: str) -> UserError:
    """Refuse bare weights where a model is asked for, and say what they are good for."""
    return UserError(
        "CN-105",
        f"'{name}' holds weights only: no classes, channels or normalisation, so it cannot "
        "predict. You can train from it: choose it under Pretrained weights.",
    )


def computes_differently(name: str, difference: float, limit: float) -> UserError:
    """Say that the sample's expected output was not reproduced."""
    return UserError(
        "CN-107",
        f"This computer computes '{name}' differently: the built-in sample's result is off by "
        f"{difference:.2g} (limit {limit:g}). Its predictions may be wrong. Ask the sender to "
        "export it again, or open it anyway.",
    )


def unreadable(name: str, reason: str) -> UserError:
    """Say that the operating system did not give us the file."""
    return UserError(
        "CN-108",
        f"'{name}' could not be read ({reason[:80]}). Nothing was changed. Check that the file is "
        "there and that you may open it.",
    )
