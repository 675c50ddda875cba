"""A small project with every kind of annotation, and what the tests of import and export compare."""

import numpy as np
import tifffile
from PIL import Image

from napari_convnet.classes import ClassInfo, make_classes
from napari_convnet.exchange import ExportOptions, Pixels, export_project, import_files
from napari_convnet.progress import run
from napari_convnet.project import Project, content_hash


def export(project, format_name, out, pixels=None, **options):
    return run(
        export_project(project, format_name, out, pixels or Pixels(), ExportOptions(**options))
    )


def import_(project, format_name, *paths, options=None):
    return run(import_files(project, format_name, paths, options))


def make_project(folder):
    """A project whose images are files in the folder: 16-bit, RGB, and a float stack."""
    random = np.random.default_rng(0)
    pixels = {
        "flat.tif": random.integers(0, 60_000, (60, 80), dtype=np.uint16),
        "colour.png": random.integers(0, 256, (40, 50, 3), dtype=np.uint8),
        "stack.tif": random.normal(0, 3, (5, 40, 50)).astype(np.float32),
    }
    axes = {"flat.tif": "YX", "colour.png": "YXC", "stack.tif": "ZYX"}
    sizes = {"flat.tif": (0.5, 0.25), "colour.png": (1, 1), "stack.tif": (2, 0.5, 0.5)}
    project = Project.create(folder / "full.convnet", backup_folder=folder / "b")
    for name, array in pixels.items():
        if name.endswith("png"):
            Image.fromarray(array).save(folder / name)
        else:
            tifffile.imwrite(folder / name, array)
        project.add_image(
            name.split(".")[0], str(folder / name), array.shape, array.dtype, axes[name],
            sizes[name], "micrometer", content_hash(array),
        )  # fmt: skip
    return project


def make_labels(folder):
    """Label images: 2, 5 and 70,000 on the flat image, solid cells in the stack."""
    flat = np.zeros((60, 80), np.uint32)
    flat[10:14, 20:26], flat[30:33, 40:43], flat[50:60, 70:80] = 2, 5, 70_000
    stack = np.zeros((5, 40, 50), np.uint16)
    stack[1:4, 5:10, 5:10], stack[2, 10, 5:10], stack[2, 20:24, 30:36] = 1, 1, 2
    colour = np.zeros((40, 50), np.uint8)
    colour[3:8, 3:8], colour[3:8, 8:13] = 1, 2
    (folder / "labels").mkdir()
    for name, labels in (("flat", flat), ("stack", stack), ("colour", colour)):
        tifffile.imwrite(folder / "labels" / f"{name} cells.tif", labels)


def say(project, folder):
    """Annotate: cells by a person and a model, patches, strokes."""
    make_labels(folder)
    project.set_classes(
        "classify",
        (
            ClassInfo('round, "small"', "#0072b2"),
            ClassInfo("länglich 细胞", "#E69F00"),
            ClassInfo("a/b", "#123456"),
        ),
    )
    project.set_classes("segment", make_classes(["background", "Zelle"]))
    project.set_object_classes(1, "flat cells", [(2, (), (11.5, 22.5), 1)])
    project.set_object_classes(1, "flat cells", [(70_000, (), (54.5, 74.5), 2)], "model")
    colours = [(1, (), (5, 5), 3), (2, (), (5, 10), 1)]
    project.set_object_classes(2, "colour cells", colours)
    solids = [(1, (2,), (7.5, 7), 2), (2, (2,), (21.5, 32.5), 3)]
    project.set_object_classes(3, "stack cells", solids)
    project.set_split(1, "test")
    project.set_split(3, "training")
    project.add_patch(1, (), (12.3456789, 0.1), 16, 1)
    project.add_patch(1, (), (59, 79.4), 33, 2)
    project.add_patch(2, (), (19.7, 29.5), 12, 3)
    project.add_patch(3, (4,), (1 / 3, 10), 7, 2)
    strokes = np.zeros((60, 80), np.uint8)
    strokes[3:6, 10:40], strokes[40:42, 60:80] = 1, 2
    project.write_painting(1, (), strokes)
    for plane in (0, 3):
        stack = np.zeros((40, 50), np.uint8)
        stack[plane : plane + 2, 4:9] = 2
        project.write_painting(3, (plane,), stack)


def notes_of(project):
    """All classes of cells, with names for ids, as a set."""
    classes = [info.name for info in project.classes("classify")]
    return {
        (
            image.name,
            n.labels_name,
            n.label,
            n.plane,
            n.centre,
            classes[n.value - 1],
            n.annotated_by,
        )
        for image in project.images()
        for n in project.object_annotations(image.id)
    }


def patches_of(project, digits=20):
    """All patches, with names for ids, sorted."""
    classes = [info.name for info in project.classes("classify")]
    return sorted(
        (image.name, p.plane, *(round(c, digits) for c in p.centre), p.size, classes[p.value - 1])
        for image in project.images()
        for p in project.patches(image.id)
    )


def everything(project):
    """All that an import could have changed, to be compared."""
    painted = {
        (image.name, plane): project.read_painting(image.id, plane, (80, 80)).tobytes()
        for image in project.images()
        for plane in project.painted_planes(image.id)
    }
    classes = [project.classes(task) for task in ("classify", "segment")]
    return notes_of(project), patches_of(project), painted, classes, project.images()
