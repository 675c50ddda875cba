"""What the starter weights are trained on: simulated pictures, drawn shapes, and CC0 images, all with their objects.

Every picture is one `Source`: channels of about 0 (dark) to 1 (bright), and how far each pixel is from the border of
an object. The list of files that stay out is in ``kept_out.txt``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage
from scipy.spatial import cKDTree
from torch import Tensor

from napari_convnet.folders import pair_images
from napari_convnet.images import Normalisation

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "sample_images"))

from simulated_bacteria import bacteria  # noqa: E402
from simulated_blood import blood_smear  # noqa: E402
from simulated_microscope import smooth_noise  # noqa: E402
from simulated_nuclei import nuclei  # noqa: E402

#: Where distances from a border end, in pixels of the picture.
_FARTHEST = 40.0
_SIDE = 400


@dataclass(frozen=True, eq=False)
class Source:
    """A picture to cut patches from.

    Parameters
    ----------
    kind
        ``"simulated"``, ``"shapes"`` (without an image of its own) or ``"real"``.
    name
        File or simulation.
    channels
        ``(C, Y, X)`` float32, from 0 to 1 between the percentiles of the package's normalisation; C is 0 for shapes.
    labels
        ``(1, Y, X)`` float32: 0 = background, k = object k.
    distance
        ``(1, Y, X)`` float32: pixels to the border of the object, negative outside of objects.
    """

    kind: str
    name: str
    channels: Tensor
    labels: Tensor
    distance: Tensor


def kept_out() -> frozenset[str]:
    """Return the files that no starter weights may see, by their path below the folder of real images."""
    return frozenset((HERE / "kept_out.txt").read_text(encoding="utf-8").split())


def simulated(seed: int, n_pictures: int) -> Iterator[Source]:
    """Simulate nuclei, bacteria and blood in turn, none of them one of the package's sample images."""
    random = np.random.default_rng(seed)
    for number in range(n_pictures):
        own = 1000 + 100 * seed + number
        if number % 3 == 0:
            picture, name = nuclei(own, random.uniform(0.05, 0.4)), f"nuclei, seed {own}"
        elif number % 3 == 1:
            picture, name = bacteria(own, int(random.integers(60, 150))), f"bacteria, seed {own}"
        else:
            lamp = tuple(random.uniform(150, 230, 3))
            picture, name = blood_smear(own, random.uniform(0.6, 1.2), lamp), f"blood, seed {own}"
        image = np.asarray(picture.image, np.float32)
        if image.ndim == 2:
            image = image[np.newaxis]
        elif image.shape[2] == 3:
            image = np.moveaxis(image, 2, 0)
        else:
            image = image[:1]  # the marker shows the body, and the truth is that of the DNA
        yield _source("simulated", name, image, picture.labels)


def shapes(seed: int, n_pictures: int) -> Iterator[Source]:
    """Draw tissues of cells with walls, and blobs of a random size; what they look like is drawn for each patch."""
    random = np.random.default_rng([seed, 1])
    for number in range(n_pictures):
        if number % 2:
            labels, name = _tissue(random), f"tissue {number}, seed {seed}"
        else:
            blobs = smooth_noise((_SIDE, _SIDE), random, random.uniform(3, 12))
            labels = ndimage.label(blobs > random.uniform(0.2, 1.2))[0]
            name = f"blobs {number}, seed {seed}"
        yield _source("shapes", name, np.zeros((0, _SIDE, _SIDE), np.float32), labels)


def real(folder: Path, folders: tuple[str, ...]) -> Iterator[Source]:
    """Read the images of some folders below that of the real images, all CC0 1.0, except those that are kept out."""
    out = kept_out()
    for name in folders:
        for pair in pair_images(folder / name / "images", folder / name / "masks"):
            path = f"{name}/images/{pair.image.name}"
            if path not in out:
                image, labels = pair.read()
                yield _source("real", path, image.pixels, labels)


def _tissue(random: np.random.Generator) -> np.ndarray:
    """Draw cells that fill the plane, with walls between them that belong to none."""
    places = random.uniform(0, _SIDE, (int(random.integers(60, 900)), 2))
    bend = random.uniform(0, 6)
    grid = np.moveaxis(np.indices((_SIDE, _SIDE)), 0, -1) + bend * np.stack(
        [smooth_noise((_SIDE, _SIDE), random, 12) for _ in range(2)], -1
    )
    nearest, cell = cKDTree(places).query(grid, k=2)
    is_wall = nearest[..., 1] - nearest[..., 0] < random.uniform(1.5, 5)
    return np.where(is_wall, 0, cell[..., 0] + 1)


def _source(kind: str, name: str, image: np.ndarray, labels: np.ndarray) -> Source:
    if len(image):
        image = Normalisation("percentiles").apply(image.astype(np.float32)) / 4 + 0.2
        image = np.clip(image, -0.3, 2)
    return Source(
        kind,
        name,
        torch.from_numpy(image),
        torch.from_numpy(labels.astype(np.float32))[None],
        torch.from_numpy(_distance(labels))[None],
    )


def _distance(labels: np.ndarray) -> np.ndarray:
    """Return pixels to the nearest pixel of another label, negative in the background; float32."""
    is_border = np.zeros(labels.shape, bool)
    for axis in (0, 1):
        is_other = np.diff(labels, axis=axis) != 0
        pad = [(0, 0), (0, 0)]
        for side in ((1, 0), (0, 1)):
            pad[axis] = side
            is_border |= np.pad(is_other, pad)
    away = 0.5 + ndimage.distance_transform_edt(~is_border)
    return np.clip(np.where(labels > 0, away, -away), -_FARTHEST, _FARTHEST).astype(np.float32)
