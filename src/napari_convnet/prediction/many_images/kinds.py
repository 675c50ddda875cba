"""What applying a model to an image file means for each kind of model."""

from __future__ import annotations

import threading
from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from napari_convnet.errors import UserError
from napari_convnet.model_file import Model
from napari_convnet.prediction.many_images.results import ApplyOptions, ImageResult
from napari_convnet.progress import Progress

#: One answer for each file: what came out, or why nothing did.
Answers = list[ImageResult | UserError]


class Kind:
    """How one kind of model is applied to files; subclasses say what is different.

    Parameters
    ----------
    model, options, device
        As for `napari_convnet.prediction.many_images.apply_to_images`.
    stop
        Ends the work; what is returned then may be half done.
    """

    #: Table with the lines of all images, and the column that names the image there.
    table, name_column = "objects.csv", "file"
    #: Whether files are called after the image, so that no two images may have one name.
    writes_files = True
    #: Files that are taken together.
    batch = 1

    def __init__(
        self, model: Model, options: ApplyOptions, device: str, stop: threading.Event | None
    ) -> None:
        self.model, self.options, self.device, self.stop = model, options, device, stop
        self.names = [entry.name for entry in model.card.classes]

    @property
    def settings(self) -> dict[str, Any]:
        """What the result depends on besides the model and the image, as JSON holds it."""
        return {}

    @property
    def summary_columns(self) -> tuple[str, ...]:
        """Columns of the summary between the image and what went wrong."""
        raise NotImplementedError

    def made_from(self, path: Path) -> Sequence[Path]:
        """Return the files that the result of an image is made from."""
        return (path,)

    def shown(self, path: Path) -> str:
        """Return what the table calls an image."""
        return str(path)

    def apply(self, paths: Sequence[Path]) -> Generator[Progress, None, Answers]:
        """Apply the model to as many files as `batch` says."""
        answers: Answers = []
        for path in paths:
            with closing(self.apply_to(path)) as steps:
                try:
                    answers.append((yield from steps))
                except UserError as error:
                    answers.append(error)
        return answers

    def apply_to(self, path: Path) -> Generator[Progress, None, ImageResult]:
        """Apply the model to one file."""
        raise NotImplementedError
