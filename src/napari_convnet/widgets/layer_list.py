"""What the designer says of layers: a row of the list, and a box of the diagram."""

from __future__ import annotations

import dataclasses

from napari_convnet.networks.draft import Draft, DraftCheck
from napari_convnet.networks.graph import IMAGE
from napari_convnet.networks.layers import LayerKind
from napari_convnet.widgets.network_diagram import Box

HEADER = ("Layer", "Kind", "Settings", "Takes", "Output", "Parameters")
TIPS = (
    "Its name; layers are computed from top to bottom.",
    "What it does.",
    "Settings that matter, or are not the usual ones.",
    "The earlier layers whose output it takes.",
    "Channels x rows x columns, or number of values, for one image.",
    "Numbers that it can learn.",
)
RIGHT = (5,)


def layer_rows(draft: Draft, check: DraftCheck) -> list[tuple[str, ...]]:
    """Return the texts of all layers, in the columns of `HEADER`."""
    rows = []
    for index, layer in enumerate(draft.layers):
        known = check.laid_out[index] if index < len(check.laid_out) else None
        rows.append(
            (
                layer.name,
                layer.settings.word,
                settings_text(layer.settings),
                ", ".join(layer.inputs),
                " x ".join(map(str, known.output_shape)) if known else "",
                f"{known.parameters:,}" if known and known.parameters else "",
            )
        )
    return rows


def boxes(draft: Draft, check: DraftCheck, image: tuple[int, ...]) -> list[Box]:
    """Return the diagram of a draft; the first box is the image."""
    place = {IMAGE: 0}
    found = [Box(IMAGE, " x ".join(map(str, image)), ())]
    for index, layer in enumerate(draft.layers):
        known = check.laid_out[index] if index < len(check.laid_out) else None
        text = " x ".join(map(str, known.output_shape)) if known else "?"
        inputs = tuple(place[name] for name in layer.inputs if name in place)
        found.append(Box(layer.name, text, inputs))
        place[layer.name] = index + 1
    return found


def settings_text(settings: LayerKind) -> str:
    """Write a layer's settings as people say them: ``16 filters, 3 x 3, same``."""
    parts = []
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        is_usual = value == field.default
        if field.name in ("filters", "units"):
            parts.append(f"{value:,} {field.name}" if value else f"1 {field.name[:-1]} a class")
        elif field.name in ("kernel", "size"):
            parts.append(f"{value} x {value}")
        elif field.name == "padding":
            if value in ("same", "valid"):
                parts.append(value)
            elif not is_usual:
                parts.append(f"padding {value}")
        elif field.name in ("share", "slope", "factor", "mode", "before", "after"):
            parts.append(f"{field.name} {value}" if field.name != "mode" else value)
        elif isinstance(value, bool):
            if not is_usual:
                parts.append(f"{'' if value else 'no '}{field.name}")
        elif not is_usual:
            parts.append(f"{field.name} {value}")
    return ", ".join(parts)
