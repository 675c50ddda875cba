"""Classes of cells and of whole images."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass

import numpy as np
import torch

from napari_convnet.devices import choose_device, use_all_cores
from napari_convnet.images import CleanImage, ImageNote, LazyImage, UnreadableError, repeat_grey
from napari_convnet.model_file import Model
from napari_convnet.prediction.fitting import check_model_fits, normalisation_of
from napari_convnet.prediction.orientations import turned
from napari_convnet.prediction.reading import NormalisedImage, PredictionInterrupted
from napari_convnet.progress import Progress
from napari_convnet.samples import resize_patch, resize_patches

#: Patches that go through the network at once: few enough for any memory, enough to keep it busy.
_BATCH = 64


@dataclass(frozen=True)
class Classification:
    """Classes of objects or images.

    Parameters
    ----------
    labels
        ``(N,)`` label of each object in its label image, or index of each image.
    centres
        ``(N, 2)`` rows and columns in pixels; zeros for whole images.
    probabilities
        ``(N, K)`` float32, rows sum to 1.
    notes
        What a person should know about the image.
    """

    labels: np.ndarray
    centres: np.ndarray
    probabilities: np.ndarray
    notes: tuple[ImageNote, ...] = ()

    @property
    def values(self) -> np.ndarray:
        """Class values ``(N,)`` int64, k = k-th class."""
        return self.probabilities.argmax(1).astype(np.int64) + 1

    @property
    def confidence(self) -> np.ndarray:
        """Probability ``(N,)`` of the class that was chosen."""
        return self.probabilities.max(1, initial=0.0)

    def draw(self, labels: np.ndarray) -> np.ndarray:
        """Return the class values as a map ``(Y, X)`` uint8 over the label image of the objects."""
        return draw_values(labels, self.labels, self.values)


def draw_values(labels: np.ndarray, present: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Draw one value for each object.

    Parameters
    ----------
    labels
        ``(Y, X)`` instance labels, 0 = background.
    present
        ``(N,)`` labels of the objects that have a value, ascending.
    values
        ``(N,)`` values up to 255.

    Returns
    -------
    numpy.ndarray
        ``(Y, X)`` uint8; 0 where no object has a value.
    """
    if not len(present):
        return np.zeros(labels.shape, np.uint8)
    row = np.searchsorted(present, labels).clip(0, len(present) - 1)
    return np.where(present[row] == labels, values[row], 0).astype(np.uint8)


def object_centres(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the labels of all objects and their centres.

    Parameters
    ----------
    labels
        ``(Y, X)`` instance labels, 0 = background; need not be contiguous.

    Returns
    -------
    tuple of numpy.ndarray
        Labels ``(N,)``, ascending, and centres of mass ``(N, 2)``, rows and columns in pixels.
    """
    positions = np.nonzero(labels)
    present, index = np.unique(labels[positions], return_inverse=True)
    counts = np.bincount(index)
    centres = [np.bincount(index, axis) / counts for axis in positions]
    return present, np.stack(centres, axis=1)


def classify_objects(
    model: Model,
    image: CleanImage | LazyImage,
    labels: np.ndarray,
    centres: np.ndarray,
    *,
    orientations: int = 1,
    device: str = "auto",
    stop: threading.Event | None = None,
) -> Generator[Progress, None, Classification]:
    """Classify objects of an image by the patches around their centres.

    Parameters
    ----------
    labels, centres
        ``(N,)`` and ``(N, 2)``, as `object_centres` returns them.
    orientations
        8: the mean of the probabilities in the eight ways in which a patch can be turned and mirrored, for
        things that have no upper side; eight times the work. 1: the patch as it is.
    stop
        Looked at after every batch; what is done is returned.

    Raises
    ------
    UserError
        CN-106 when the model does not fit the image; `PredictionInterrupted` with what is done when a lazy
        image cannot be read any further.
    """
    check_model_fits(model, "classify", image)
    pixels = NormalisedImage(model, image)
    size = model.card.patch_size or max(model.card.input_size)

    problems: list[UnreadableError] = []

    def patches(start: int, end: int) -> list[np.ndarray]:
        found: list[np.ndarray] = []
        try:
            for centre in centres[start:end]:
                found.append(pixels.cut_patch(centre, size))
        except UnreadableError as problem:
            problems.append(problem)
        return found

    probabilities = yield from _classify(model, patches, len(labels), orientations, device, stop)
    n = len(probabilities)
    result = Classification(labels[:n], centres[:n], probabilities, pixels.notes)
    if problems:
        raise PredictionInterrupted(problems[0], result) if n else problems[0]
    return result


def classify_images(
    model: Model,
    read: Callable[[int], CleanImage],
    n_images: int,
    *,
    orientations: int = 1,
    device: str = "auto",
    stop: threading.Event | None = None,
) -> Generator[Progress, None, Classification]:
    """Classify whole images (one class an image), which ``read`` returns by index.

    ``orientations`` is that of `classify_objects`.

    Raises
    ------
    UserError
        CN-106 when the model does not fit an image, and whatever ``read`` raises.
    """
    normalisation = normalisation_of(model)

    def patches(start: int, end: int) -> list[np.ndarray]:
        found = []
        for index in range(start, end):
            image = repeat_grey(read(index), len(model.card.channels))
            check_model_fits(model, "classify", image)
            found.append(normalisation.apply(resize_patch(image.pixels, model.card.input_size[0])))
        return found

    probabilities = yield from _classify(model, patches, n_images, orientations, device, stop)
    n = len(probabilities)
    return Classification(np.arange(n), np.zeros((n, 2)), probabilities)


def _classify(
    model: Model,
    patches: Callable[[int, int], list[np.ndarray]],
    n: int,
    orientations: int,
    device: str,
    stop: threading.Event | None,
) -> Generator[Progress, None, np.ndarray]:
    """Return the probabilities ``(n, K)`` of the patches that a function cuts by start and end.

    When it cuts fewer than it was asked for, there are no more.
    """
    use_all_cores()
    chosen = choose_device(device)
    network = model.network.to(chosen).eval()
    found = [np.empty((0, len(model.card.classes)), np.float32)]
    for start in range(0, n, _BATCH):
        end = min(n, start + _BATCH)
        cut = patches(start, end)
        if not cut:
            break
        inputs = resize_patches(np.stack(cut), model.card.input_size[0])
        with torch.inference_mode():
            seen = torch.from_numpy(inputs).to(chosen)
            answers = [network(turned(seen, number)).float() for number in range(orientations)]
            looks = [(answer / model.card.temperature).softmax(1) for answer in answers]
            found.append(torch.stack(looks).mean(0).cpu().numpy())
        done = start + len(cut)
        yield Progress(done=done, total=n, text=f"{done} of {n} classified")
        if done < end or (stop is not None and stop.is_set()):
            break
    return np.concatenate(found)
