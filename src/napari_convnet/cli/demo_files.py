"""The files of the demonstration: tables, label images, models and pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_convnet.classes import ClassInfo
from napari_convnet.cli.pictures import draw_objects, draw_strokes, mark, with_legend
from napari_convnet.demonstration import (
    CELL_IMAGES,
    NUCLEI_IMAGES,
    CellsResult,
    NucleiResult,
    labels_of,
)
from napari_convnet.exchange.result_files import write_picture, write_table, write_tiff
from napari_convnet.images.pictures import grey_to_rgb
from napari_convnet.model_file import Model, save_model
from napari_convnet.prediction import object_centres

Classes = tuple[ClassInfo, ...]


def write_cells(out: Path, result: CellsResult) -> list[str]:
    """Write what classifying the cells gave, and return the names of the files."""
    classes = _classes(result.model)
    _write_cell_tables(out, result, [info.name for info in classes])
    save_model(result.model, out / "cells.safetensors")
    _draw_clicks(out, result, classes)
    _draw_cells(out, result, classes)
    return [
        "cells_overlay.png",
        "cells_clicked.png",
        "cells.csv",
        "cells_clicked.csv",
        "cells.safetensors",
    ]


def _write_cell_tables(out: Path, result: CellsResult, names: list[str]) -> None:
    prediction = result.prediction
    rows = zip(
        prediction.labels,
        prediction.centres,
        prediction.values,
        prediction.probabilities,
        strict=True,
    )
    write_table(
        out / "cells.csv",
        ("label", "y", "x", "class", *(f"probability_{name}" for name in names)),
        [
            (label, f"{y:.2f}", f"{x:.2f}", names[value - 1], *(f"{p:.6f}" for p in row))
            for label, (y, x), value, row in rows
        ],
    )
    clicks = zip(result.clicked, result.clicked_values, strict=True)
    write_table(
        out / "cells_clicked.csv",
        ("label", "class"),
        [(label, names[value - 1]) for label, value in clicks],
    )


def _draw_clicks(out: Path, result: CellsResult, classes: Classes) -> None:
    labels = labels_of(result.sample)
    values = _by_label(labels, result.clicked, result.clicked_values)
    picture = with_legend(
        draw_objects(result.sample.image, labels, values, classes),
        f"{CELL_IMAGES[0]}: the {len(result.clicked)} cells that were clicked",
        _legend(classes, result.clicked_values),
    )
    write_picture(out / "cells_clicked.png", picture)


def _draw_cells(out: Path, result: CellsResult, classes: Classes) -> None:
    prediction, labels = result.prediction, labels_of(result.test_sample)
    wrong = prediction.values != result.true_values
    values = _by_label(labels, prediction.labels, prediction.values)
    overlay = draw_objects(result.test_sample.image, labels, values, classes)
    accuracy = result.facts["scores"]["accuracy"]
    picture = with_legend(
        mark(overlay, prediction.centres[wrong]),
        f"{CELL_IMAGES[1]} (never trained on): classes of {len(wrong)} cells as predicted",
        _legend(classes, prediction.values),
        f"{accuracy:.1%} are right; a cross marks each of the {int(wrong.sum())} that are not",
    )
    write_picture(out / "cells_overlay.png", picture)


def write_nuclei(out: Path, result: NucleiResult) -> list[str]:
    """Write what segmenting the nuclei gave, and return the names of the files."""
    classes, prediction = _classes(result.model), result.prediction
    labels, centres = object_centres(prediction.objects)
    areas = np.bincount(prediction.objects.ravel())
    names = [classes[value - 1].name for value in prediction.object_values[labels]]
    write_table(
        out / "nuclei_objects.csv",
        ("label", "y", "x", "area", "class"),
        [
            (label, f"{y:.2f}", f"{x:.2f}", areas[label], name)
            for label, (y, x), name in zip(labels, centres, names, strict=True)
        ],
    )
    write_tiff(out / "nuclei_strokes.tif", result.strokes)
    write_tiff(out / "nuclei_classes.tif", prediction.classes)
    write_tiff(out / "nuclei_objects.tif", prediction.objects.astype(np.uint32))
    save_model(result.model, out / "nuclei.safetensors")
    _draw_strokes(out, result, classes)
    _draw_nuclei(out, result, classes)
    return [
        "nuclei_overlay.png",
        "nuclei_strokes.png",
        "nuclei_objects.csv",
        "nuclei_strokes.tif",
        "nuclei_classes.tif",
        "nuclei_objects.tif",
        "nuclei.safetensors",
    ]


def _draw_strokes(out: Path, result: NucleiResult, classes: Classes) -> None:
    share = result.facts["trained_on"]["painted_share"]
    picture = with_legend(
        draw_strokes(grey_to_rgb(result.sample.image[0]), result.strokes, classes),
        f"{NUCLEI_IMAGES[0]}: what was painted, {share:.1%} of the pixels",
        {info.name: info.colour for info in classes},
    )
    write_picture(out / "nuclei_strokes.png", picture)


def _draw_nuclei(out: Path, result: NucleiResult, classes: Classes) -> None:
    prediction, scores = result.prediction, result.facts["scores"]
    image = grey_to_rgb(result.test_sample.image[0])
    found, present = scores["nuclei_found"], result.facts["measured_on"]["nuclei"]
    picture = with_legend(
        draw_objects(image, prediction.objects, prediction.object_values, classes),
        f"{NUCLEI_IMAGES[1]} (never painted in): nuclei as predicted",
        _legend(classes[1:], prediction.object_values[1:] - 1),
        f"mask IoU {scores['mask_iou']:.2f}; {found} of {present} nuclei found (IoU above 0.5)",
    )
    write_picture(out / "nuclei_overlay.png", picture)


def _classes(model: Model) -> Classes:
    return tuple(ClassInfo(entry.name, entry.colour) for entry in model.card.classes)


def _by_label(labels: np.ndarray, chosen: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return class values by label, 0 where a label has none."""
    table = np.zeros(int(labels.max()) + 1, np.int64)
    table[chosen] = values
    return table


def _legend(classes: Classes, values: np.ndarray) -> dict[str, str]:
    return {
        f"{info.name} ({int((values == value).sum())})": info.colour
        for value, info in enumerate(classes, start=1)
    }
