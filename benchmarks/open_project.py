"""How long a large project takes to open: 50 images, 20,000 annotations, in the viewer with its dock.

Run it where there is a screen (or under Xvfb)::

    xvfb-run -a -s "-screen 0 1280x800x24" python benchmarks/open_project.py

"The file" is `Project.open` alone: every row's hash is checked and a backup is made, unless the newest one
is of the same rows. "In the viewer" is what a drop of the file on napari's window does: the file, its classes
and counts in the Annotate dock, and its first five images (1024 x 1024, TIFF) as layers.
"""

from __future__ import annotations

import os
import platform
import tempfile
import time
from pathlib import Path

import numpy as np

N_IMAGES, N_OBJECTS, N_PATCHES, SIDE, TARGET_S, TURNS = 50, 16_000, 4_000, 1024, 2.0, 7


def make_project(folder: Path) -> Path:
    """Write images, and a project with annotations of all and strokes on ten."""
    import tifffile

    from napari_convnet.classes import make_classes
    from napari_convnet.project import Project, content_hash

    random = np.random.default_rng(0)
    path = folder / "large.convnet"
    with Project.create(path) as project:
        project.set_classes("classify", make_classes(f"class {k}" for k in range(1, 9)))
        project.set_classes("segment", make_classes(["background", "cell"]))
        for number in range(N_IMAGES):
            pixels = random.integers(0, 4000, (SIDE, SIDE), dtype=np.uint16)
            file = folder / f"image {number:02}.tif"
            tifffile.imwrite(file, pixels)
            image_id = project.add_image(
                file.stem,
                str(file),
                pixels.shape,
                "uint16",
                "YX",
                content_hash=content_hash(pixels),
            )
            places = random.uniform(0, SIDE, ((N_OBJECTS + N_PATCHES) // N_IMAGES, 2))
            n_objects = N_OBJECTS // N_IMAGES
            objects = [(k, (), p, 1 + k % 8) for k, p in enumerate(places[:n_objects], start=1)]
            project.set_object_classes(image_id, "cells", objects)
            for k, place in enumerate(places[n_objects:]):
                project.add_patch(image_id, (), place, 48, 1 + k % 8)
            if number < 10:
                strokes = (random.random((SIDE, SIDE)) < 0.02).astype(np.uint8)
                project.write_painting(image_id, (), strokes)
    return path


def describe(name: str, times: list[float]) -> str:
    """Return a line with the first time, the median and the longest."""
    return (
        f"{name:<16} first {times[0]:5.2f} s   median {np.median(times):5.2f} s   "
        f"longest {max(times):5.2f} s   n {len(times)}"
    )


def time_file(path: Path) -> float:
    """Open the file alone and close it again; return the seconds of the opening."""
    from napari_convnet.project import Project

    start = time.perf_counter()
    project = Project.open(path)
    seconds = time.perf_counter() - start
    with project:
        assert not project.read_only
        assert sum(project.class_counts("classify").values()) == N_OBJECTS + N_PATCHES
        # Another opening finds other rows, so that it makes a backup, too.
        project.add_image(f"turn {time.time()}", "", (1, 1), "uint8", "YX")
    return seconds


def time_viewer(path: Path) -> float:
    """Open the file in a new viewer; return the seconds until it is drawn."""
    import napari
    from qtpy.QtWidgets import QApplication

    from napari_convnet.widgets.session import session_of

    viewer = napari.Viewer()
    QApplication.processEvents()
    start = time.perf_counter()
    viewer.open(path, plugin=None)
    QApplication.processEvents()
    seconds = time.perf_counter() - start
    session = session_of(viewer)
    assert sum(session.class_counts()) == N_OBJECTS + N_PATCHES
    assert len(viewer.layers) == 5
    session.close_project()
    viewer.close()
    return seconds


def main() -> None:
    """Make a project, open it and print the times."""
    with tempfile.TemporaryDirectory(prefix="napari-convnet-benchmark-") as folder:
        os.environ["XDG_DATA_HOME"] = os.environ["XDG_CONFIG_HOME"] = folder
        path = make_project(Path(folder))
        print(
            f"{N_IMAGES} images, {N_OBJECTS + N_PATCHES:,} annotations, "
            f"{path.stat().st_size / 2**20:.1f} MiB, {platform.platform()}"
        )
        file = [time_file(path) for _ in range(TURNS)]
        viewer = [time_viewer(path) for _ in range(TURNS)]
    print(describe("the file", file))
    print(describe("in the viewer", viewer))
    longest = max(*file, *viewer)
    print(f"target {TARGET_S:.0f} s: {'kept' if longest <= TARGET_S else 'missed'}")


if __name__ == "__main__":
    main()
