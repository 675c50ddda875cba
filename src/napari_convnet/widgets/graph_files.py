"""Layers as JSON files: written to be read by people, read under a strict check."""

from __future__ import annotations

import json
from pathlib import Path

from qtpy.QtWidgets import QFileDialog, QWidget

from napari_convnet.atomic import write_atomically
from napari_convnet.errors import UserError
from napari_convnet.networks.graph import LayerGraph
from napari_convnet.networks.graph_json import MAX_CHARACTERS, graph_from_json, graph_to_json

_KINDS = "Layers (*.json)"


def ask_and_read_graph(parent: QWidget) -> tuple[str, LayerGraph] | None:
    """Ask for a file and return its name and its layers; None without an answer.

    Raises
    ------
    UserError
        CN-535 if it cannot be read, CN-530 if it holds no network; with the file's name.
    """
    text, _ = QFileDialog.getOpenFileName(parent, "Import layers", str(Path.home()), _KINDS)
    return (Path(text).stem[:40], read_graph(Path(text))) if text else None


def ask_and_write_graph(parent: QWidget, name: str, graph: LayerGraph) -> None:
    """Ask for a file and write layers to it.

    Raises
    ------
    UserError
        CN-301 or CN-312 if it cannot be written.
    """
    start = str(Path.home() / f"{name.replace('/', '-') or 'network'}.json")
    text, _ = QFileDialog.getSaveFileName(parent, "Export layers", start, _KINDS)
    if text:
        path = Path(text) if Path(text).suffix else Path(f"{text}.json")
        content = json.dumps(json.loads(graph_to_json(graph)), indent=1)
        write_atomically(path, content.encode())


def read_graph(path: Path) -> LayerGraph:
    """Return the layers of a file that anybody may have written.

    Raises
    ------
    UserError
        CN-535 if it cannot be read, CN-530 if it holds no network; with the file's name.
    """
    try:
        with path.open("rb") as file:
            content = file.read(4 * MAX_CHARACTERS + 1)
        if len(content) > 4 * MAX_CHARACTERS:
            raise UserError(
                "CN-535", f"'{path.name[:60]}' was not imported: it is too large to be layers."
            )
        # Without the blanks that make it readable, which do not count as characters of a network.
        text = json.dumps(json.loads(content.decode()), separators=(",", ":"))
    except OSError as error:
        raise UserError(
            "CN-535", f"'{path.name[:60]}' was not imported: {error.strerror}. Nothing was changed."
        ) from error
    except (ValueError, RecursionError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(
            "CN-535",
            f"'{path.name[:60]}' was not imported: it is not JSON text. Nothing was changed. "
            "Choose a file that Export wrote.",
            str(error),
        ) from error
    return graph_from_json(text)
