"""Every format by its name: what it holds, whether it is a file or a folder, and how it is read and written."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from napari_convnet.errors import UserError
from napari_convnet.exchange.applying import ImportResult, write_plan
from napari_convnet.exchange.cellpose import plan_cellpose
from napari_convnet.exchange.class_table import export_class_table, plan_class_table
from napari_convnet.exchange.coco_export import export_coco
from napari_convnet.exchange.coco_import import plan_coco
from napari_convnet.exchange.image_files import ImageList, plan_images
from napari_convnet.exchange.matching import ImportOptions, Target
from napari_convnet.exchange.napari_tables import (
    export_points,
    export_shapes,
    plan_points,
    plan_shapes,
)
from napari_convnet.exchange.object_masks import export_object_masks, plan_object_masks
from napari_convnet.exchange.object_table import PredictedObjects, export_object_table
from napari_convnet.exchange.painted_masks import export_painted_masks, plan_painted_masks
from napari_convnet.exchange.patch_folder import (
    PatchFileType,
    export_patch_folder,
    plan_patch_folder,
)
from napari_convnet.exchange.pixels import Pixels
from napari_convnet.exchange.plan import ImportPlan
from napari_convnet.exchange.results import ExportResult
from napari_convnet.exchange.whole_objects import plan_whole_objects
from napari_convnet.progress import Progress
from napari_convnet.project import Project

Kind = Literal["folder", "file", "file or folder"]

PlanSteps = Generator[Progress, None, ImportPlan]
ExportSteps = Generator[Progress, None, ExportResult]


@dataclass(frozen=True)
class ExportOptions:
    """What an export may be told.

    Parameters
    ----------
    size
        Side of the patches around cells in pixels.
    file_type
        ``"tiff"`` (16 bit) or ``"png"`` (8 bit) patches.
    task
        Whose class table is written.
    predictions
        Classes that a model gave, for the table of cells.
    """

    size: int = 48
    file_type: PatchFileType = "tiff"
    task: str = "classify"
    predictions: Sequence[PredictedObjects] = ()


@dataclass(frozen=True)
class Format:
    """One format.

    Parameters
    ----------
    title
        For a menu.
    holds
        What goes into it, in one line.
    reads, writes
        What an import is given and what an export makes; "" where there is none.
    suffix
        Of its files.
    asks
        Names of the `ImportOptions` that matter.
    """

    title: str
    holds: str
    reads: Kind | Literal[""]
    writes: Kind | Literal[""]
    suffix: str = ""
    asks: tuple[str, ...] = ("add_classes",)
    plan: Callable[[Target, Path], PlanSteps] | None = None
    export: Callable[[Project, Path, Pixels, ExportOptions], ExportSteps] | None = None


_MASKS_ASK = ("add_classes", "converts_decimals")


def _export_patches(
    project: Project, out: Path, pixels: Pixels, options: ExportOptions
) -> ExportSteps:
    return export_patch_folder(project, out, pixels, options.size, options.file_type)


def _without_pixels(export: Callable[[Project, Path], ExportSteps]) -> Any:
    return lambda project, out, _pixels, _options: export(project, out)


FORMATS: dict[str, Format] = {
    "images": Format(
        "Images", "images by reference, to match annotations with", "file or folder", "", asks=(),
    ),
    "patches": Format(
        "Patches, a folder per class", "annotated cells and patches as images, and manifest.csv",
        "folder", "folder", plan=plan_patch_folder, export=_export_patches,
    ),
    "painted": Format(
        "Painted labels", "label images (0 = not annotated, k = class k) and classes.csv",
        "file or folder", "folder", ".tif", _MASKS_ASK, plan=plan_painted_masks,
        export=_without_pixels(export_painted_masks),
    ),
    "objects": Format(
        "Whole objects to segment", "label images, every object a number of its own, as painted areas",
        "file or folder", "", ".tif", ("class_name", *_MASKS_ASK), plan=plan_whole_objects,
    ),
    "instances": Format(
        "Instance masks with classes", "a label image and a CSV (label, class) for each image",
        "file or folder", "folder", ".tif", _MASKS_ASK, plan=plan_object_masks,
        export=lambda project, out, pixels, _options: export_object_masks(project, out, pixels),
    ),
    "points": Format(
        "napari points", "centres of patches, or positions, as napari's CSV", "file", "folder", ".csv",
        ("class_name", "size", "task", "add_classes"), plan_points,
        lambda project, out, _pixels, options: export_points(project, out, options.task),
    ),
    "shapes": Format(
        "napari shapes", "patches as napari's shapes CSV", "file", "folder", ".csv",
        ("class_name", "add_classes"), plan_shapes, _without_pixels(export_shapes),
    ),
    "coco": Format(
        "COCO", "patches as boxes and cells as masks in one JSON file", "file", "file", ".json",
        plan=plan_coco,
        export=lambda project, out, pixels, _options: export_coco(project, out, pixels),
    ),
    "cellpose": Format(
        "cellpose masks", "the masks of a _seg.npy file as a label image", "file", "", ".npy",
        ("class_name", "add_classes"), plan_cellpose,
    ),
    "table": Format(
        "Table of cells", "class, probabilities, position and area of each cell as CSV", "", "file", ".csv",
        export=lambda project, out, pixels, options: export_object_table(
            project, out, pixels, options.predictions
        ),
    ),
    "classes": Format(
        "Class table", "values, names and colours of the classes as CSV", "file", "file", ".csv",
        ("task",), plan_class_table,
        lambda project, out, _pixels, options: export_class_table(project, out, options.task),
    ),
}  # fmt: skip


def _known(name: str, direction: str) -> Format:
    able = [
        key
        for key, form in FORMATS.items()
        if (form.reads if direction == "import" else form.writes)
    ]
    if name not in able:
        raise UserError(
            "CN-663", f"'{name[:40]}' is no format to {direction}: choose one of {', '.join(able)}."
        )
    return FORMATS[name]


def import_files(
    project: Project, format_name: str, paths: Sequence[Path], options: ImportOptions | None = None
) -> Generator[Progress, None, ImportResult | ImageList]:
    """Read files completely, then write what they say into a project, all of it or nothing.

    Returns
    -------
    ImportResult or ImageList
        With a ``summary``; an `ImportResult` can be taken back with its ``undo``.

    Raises
    ------
    UserError
        CN-651 to CN-657, CN-61x, CN-641, CN-335 for files that cannot be used, naming file and line;
        CN-30x if the project cannot be written. Nothing is imported then.
    """
    form = _known(format_name, "import")
    if format_name == "images":
        return (yield from plan_images(project, paths, options or ImportOptions())).apply(project)
    target = Target(project, options or ImportOptions())
    plan = ImportPlan(form.title)
    for path in paths:
        plan.take_in((yield from form.plan(target, Path(path))))
    return (yield from write_plan(target, plan))


def export_project(
    project: Project,
    format_name: str,
    out: Path,
    pixels: Pixels | None = None,
    options: ExportOptions | None = None,
) -> ExportSteps:
    """Write a project's annotations in a format; a file or folder that is there is whole.

    Raises
    ------
    UserError
        CN-658 to CN-662, CN-301, CN-312.
    """
    form = _known(format_name, "export")
    return (
        yield from form.export(project, Path(out), pixels or Pixels(), options or ExportOptions())
    )
