"""Small folders of images to run the command line on."""

from pathlib import Path

import numpy as np
import tifffile
from typer.testing import CliRunner

from napari_convnet.cli.app import app
from synthetic_pictures import draw_blobs, draw_shape


def command(*arguments):
    """Run a command in this process; the result has ``exit_code``, ``stdout`` and ``stderr``."""
    return CliRunner().invoke(app, [str(a) for a in arguments], env={"COLUMNS": "200"})


def one_message(result, code):
    """Check that a command gave a single message for the user, and return it."""
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit), result.exception  # no traceback
    lines = [line for line in result.stderr.splitlines() if line.startswith("CN-")]
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith(f"{code} ")
    assert len(lines[0]) <= 310
    return lines[0]


def no_temporary_files(folder: Path) -> bool:
    return not [path for path in folder.rglob("*") if path.name.endswith(".tmp")]


def make_shape_folder(root: Path, n: int = 12, seed: int = 0) -> Path:
    """Write ``n`` disks and ``n`` squares, each into the folder of its class; returns ``root``."""
    random = np.random.default_rng(seed)
    for name in ("disk", "square"):
        (root / name).mkdir(parents=True)
        for index in range(n):
            image = draw_shape(name == "square", random)
            tifffile.imwrite(root / name / f"{'abc'[index % 3]}{index:02}.tif", image)
    return root


def make_blob_folders(root: Path, n: int = 3, kind: str = "strokes") -> tuple[Path, Path]:
    """Write images of blobs and their labels: ``strokes`` (a tenth), ``masks`` or ``instances``."""
    from scipy import ndimage

    images, labels = root / "images", root / "labels"
    images.mkdir(parents=True)
    labels.mkdir()
    for seed in range(n):
        image, mask = draw_blobs(seed, size=64, n=6)
        values = (mask + 1).astype(np.uint8)
        if kind == "strokes":
            values[np.random.default_rng(seed).random(mask.shape) > 0.1] = 0
        elif kind == "instances":
            values = ndimage.label(mask)[0].astype(np.uint16)
        tifffile.imwrite(images / f"field_{seed}.tif", image)
        tifffile.imwrite(labels / f"field_{seed}.tif", values)
    return images, labels
