"""The image files that files and folders stand for, without what came out of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from napari_convnet.errors import UserError
from napari_convnet.folders.reading import list_images

#: The file by which a folder of results is known; it says what is done there.
RESULTS_MARK = ".napari-convnet-results.jsonl"


def list_inputs(inputs: Sequence[Path], output: Path) -> list[Path]:
    """Return the image files among files and folders (with what is in them), each once.

    What lies in the output folder, or in any other folder of results, is left out.

    Raises
    ------
    UserError
        CN-631 for a path that does not exist, CN-636 without images, CN-639 if results would go
        into a folder of inputs.
    """
    found: dict[Path, Path] = {}
    for path in inputs:
        if not path.exists():
            raise UserError("CN-631", f"There is no file or folder '{path}'. Check the path.")
        if path.is_dir() and path.resolve() == output.resolve():
            raise UserError(
                "CN-639",
                f"Results would mix with the images in '{path}'. Choose another folder for them.",
            )
        for file in _images_below(path) if path.is_dir() else [path]:
            resolved = file.resolve()
            if path == file or output.resolve() not in resolved.parents:
                found.setdefault(resolved, file)
    if not found:
        raise UserError("CN-636", f"No images in {', '.join(map(str, inputs))}. Check the path.")
    return list(found.values())


def _images_below(folder: Path) -> list[Path]:
    below = (path for path in folder.rglob("*") if path.is_dir())
    seen = (
        path for path in below
        if not path.name.startswith(".") and not (path / RESULTS_MARK).exists()
    )  # fmt: skip
    return [image for part in (folder, *sorted(seen)) for image in list_images(part)]
