"""A model applied to many image files: each in turn, what is done is kept, and what is done already is skipped."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_convnet.atomic import write_atomically
from napari_convnet.devices import choose_device
from napari_convnet.errors import UserError
from napari_convnet.exchange.result_files import make_folder
from napari_convnet.images import ImageNote
from napari_convnet.model_file import Model
from napari_convnet.prediction.many_images.classifying import ClassifyingImages, ClassifyingObjects
from napari_convnet.prediction.many_images.journal import Journal, fingerprint
from napari_convnet.prediction.many_images.kinds import Answers, Kind
from napari_convnet.prediction.many_images.locating import Locating
from napari_convnet.prediction.many_images.results import ApplyOptions, ImageResult
from napari_convnet.prediction.many_images.segmenting import Segmenting
from napari_convnet.prediction.many_images.tables import AppliedImage, write_tables
from napari_convnet.progress import Progress, told_as

#: Version of the record of a folder of results.
_FORMAT = 1
#: Parts into which the progress of one image is told.
_PARTS = 100
#: What of a model's card says nothing about its results.
_ABOUT_IT = {"name", "training", "scores", "versions", "created"}
_DEFAULTS = ApplyOptions()


@dataclass(frozen=True, kw_only=True, eq=False)
class ImagesApplied(Progress):
    """Rows that the summary gets now, and what a person should know about their images."""

    images: tuple[AppliedImage, ...]
    columns: tuple[str, ...]
    notes: tuple[ImageNote, ...] = ()


@dataclass(frozen=True, eq=False)
class AppliedToImages:
    """What came out of all images.

    Parameters
    ----------
    n_images
        Images that were given.
    n_skipped
        Of these, how many were done before.
    problems
        What went wrong by image.
    n_left
        Images that were not reached, because it was stopped.
    """

    n_images: int
    n_skipped: int
    problems: dict[Path, str]
    n_left: int

    @property
    def n_done(self) -> int:
        """Images with a result, now or before."""
        return self.n_images - self.n_left - len(self.problems)


def apply_to_images(
    model: Model,
    files: Sequence[Path],
    output: Path,
    options: ApplyOptions = _DEFAULTS,
    *,
    device: str = "auto",
    start_over: bool = False,
    stop: threading.Event | None = None,
) -> Generator[Progress, None, AppliedToImages]:
    """Apply a model to image files and write what comes out into a folder.

    For each image, its own files and its row of the summary are there before the next one begins; a file that
    cannot be used is named in the summary. `ImagesApplied` tells of new rows. The tables of all images are
    written at the end, however it ends. A second call with the same model and options goes on where the first one
    ended: images that are done and have not changed are skipped.

    Parameters
    ----------
    files
        As `list_sources` gives them.
    output
        Folder for the results; made if it does not exist.
    start_over
        Do all images again, and take over a folder of another model; its files stay until they are replaced.
    stop
        Looked at after every tile and every image; an image that is half done then is done again next time.

    Raises
    ------
    UserError
        CN-640 if the folder holds results of another model or other options, CN-648 while another program writes
        into it, CN-301, CN-306 if it cannot be written to, CN-506 for options that the model cannot have.
    """
    kind = kind_for(model, options, device, stop)
    choose_device(device)
    make_folder(output)
    yield Progress(done=0, total=0, text="looking at what is done already")
    run = {
        "format": _FORMAT,
        "model": model_digest(model),
        "name": model.card.name,
        "settings": kind.settings,
    }
    with Journal(output, run, start_over=start_over) as journal:
        made_from = {path: _made_from(kind, path) for path in files}
        to_do = [path for path in files if not journal.is_done(path, made_from[path])]
        is_to_do = set(to_do)
        skipped = [path for path in files if path not in is_to_do]
        problems: dict[Path, str] = {}
        if skipped:
            yield _skipped(journal, kind, skipped, len(to_do))
        try:
            n_reached = yield from _apply_in_turn(kind, journal, to_do, made_from, problems)
        except (
            BaseException
        ):  # Ctrl+C and a full disk as well: the tables tell what was done until then
            with suppress(UserError):
                write_tables(journal, kind, files, problems)
            raise
        write_tables(journal, kind, files, problems)
    return AppliedToImages(len(files), len(skipped), problems, len(to_do) - n_reached)


def check_options(model: Model, options: ApplyOptions) -> None:
    """Refuse options that a model cannot have (CN-506)."""
    if model.card.task != "classify" and options.orientations > 1:
        raise UserError("CN-506", "--all-orientations only belongs to models that classify.")
    if model.card.task != "classify" and options.labels is not None:
        raise UserError("CN-506", "--labels only belongs to models that classify.")


def kind_for(
    model: Model, options: ApplyOptions, device: str = "auto", stop: threading.Event | None = None
) -> Kind:
    """Return how a model is applied to files.

    Raises
    ------
    UserError
        CN-506 for options that the model cannot have.
    """
    check_options(model, options)
    task = model.card.task
    if task == "classify":
        kind = ClassifyingImages if options.labels is None else ClassifyingObjects
        return kind(model, options, device, stop)
    return (Segmenting if task == "segment" else Locating)(model, options, device, stop)


def model_digest(model: Model) -> str:
    """Return the sha256 of what a model's results depend on: its weights, and how images are prepared for it."""
    card = model.card.model_dump_json(exclude=_ABOUT_IT)
    digest = hashlib.sha256(json.dumps(json.loads(card), sort_keys=True).encode())
    for name, values in sorted(model.network.state_dict().items()):
        digest.update(f"{name} {values.dtype} {tuple(values.shape)}".encode())
        digest.update(values.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _made_from(kind: Kind, path: Path) -> str:
    try:
        return fingerprint(kind.made_from(path))
    except UserError:  # told when it is its turn
        return ""


def _skipped(journal: Journal, kind: Kind, skipped: Sequence[Path], n_left: int) -> ImagesApplied:
    entries = [(path, journal.done[path.resolve()]) for path in skipped]
    images = tuple(AppliedImage(path, entry.summary, "", entry.files) for path, entry in entries)
    text = f"{len(skipped):,} images were done before"
    return ImagesApplied(
        done=0, total=_PARTS * n_left, text=text, images=images, columns=kind.summary_columns
    )


def _apply_in_turn(
    kind: Kind,
    journal: Journal,
    to_do: Sequence[Path],
    made_from: dict[Path, str],
    problems: dict[Path, str],
) -> Generator[Progress, None, int]:
    """Apply a model to what is left; returns how many images were reached."""
    for start in range(0, len(to_do), kind.batch):
        if kind.stop is not None and kind.stop.is_set():
            return start
        part = to_do[start : start + kind.batch]
        free = [path for path in part if not (kind.writes_files and _name_is_taken(journal, path))]
        answers: Answers = []
        if free:
            answers = yield from told_as(kind.apply(free), _as_part(part, start, len(to_do)))
        if kind.stop is not None and kind.stop.is_set():  # perhaps half done
            return start
        found = dict(zip(free, answers, strict=True))
        images, notes = [], []
        for path in part:
            answer = found.get(path) or _taken(path)
            if isinstance(answer, ImageResult):
                _keep(journal, path, made_from[path], answer)
                images.append(AppliedImage(path, answer.summary, "", tuple(answer.files)))
                notes += answer.notes
            else:
                problems[path] = f"{answer.code} {answer.message}"
                images.append(AppliedImage(path, {}, problems[path]))
        done = start + len(part)
        yield ImagesApplied(
            done=_PARTS * done, total=_PARTS * len(to_do), text=f"{done:,} of {len(to_do):,} images",
            images=tuple(images), columns=kind.summary_columns, notes=tuple(notes),
        )  # fmt: skip
    return len(to_do)


def _as_part(part: Sequence[Path], start: int, n: int) -> Any:
    """Return how the progress in one image, or in several together, is told as that of all of them."""

    def tell(event: Progress) -> Progress:
        where = f"image {start + 1:,} of {n:,}: {part[0].name}"
        if len(part) > 1:
            where = f"images {start + 1:,} to {start + len(part):,} of {n:,}"
        text = f"{where}, {event.text}" if event.total > 1 else where
        done = round(_PARTS * (start + len(part) * event.share))
        return Progress(done=done, total=_PARTS * n, text=text)

    return tell


def _keep(journal: Journal, path: Path, made_from: str, result: ImageResult) -> None:
    for name, data in result.files.items():
        write_atomically(journal.folder / name, data)
    journal.add(path, made_from, result)


def _name_is_taken(journal: Journal, path: Path) -> bool:
    """Return whether the files of another image, which still exists, have the names that this one's would have."""
    for suffix in ("_classes.tif", "_positions.png"):
        owner = journal.owner_of(path.stem + suffix)
        if owner is not None and owner != path.resolve() and owner.exists():
            return True
    return False


def _taken(path: Path) -> UserError:
    return UserError(
        "CN-638",
        f"Another image is called '{path.stem}', too; apply the model to it into another folder.",
    )
