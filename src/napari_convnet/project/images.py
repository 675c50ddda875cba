"""Images of a project: references to pixels that stay where they are."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import os
import sqlite3
import stat
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from napari_convnet.errors import UserError
from napari_convnet.project.faults import short_name
from napari_convnet.project.records import ImageRecord, now, plain_text, read_tuple
from napari_convnet.project.store import Store, next_id, put

#: Above this many bytes a sample of the pixels is hashed instead of all of them.
BYTES_HASHED = 64 * 2**20
#: What an image can be used for; "automatic" leaves it to chance.
AUTOMATIC = "automatic"
SPLITS = (AUTOMATIC, "training", "validation", "test")
_PLANES_SAMPLED = 8
_BLOCKS_PER_AXIS = 4


def content_hash(array: Any) -> str:
    """Return the SHA-256, in hexadecimal, of an image's shape, type and pixels.

    Up to 64 MB all pixels count. Of a larger image a sample of about 64 MB does: 4 x 4 evenly
    spaced blocks of each of 8 evenly spaced planes (the last two axes), corners included; a change
    elsewhere goes unnoticed. Only the sample is read from a lazy array. Byte order and memory
    layout make no difference.

    Parameters
    ----------
    array
        Anything with ``shape``, ``dtype`` and slicing: numpy, dask, zarr; not a list of
        resolutions.
    """
    dtype = np.dtype(array.dtype)
    little_endian = dtype.newbyteorder("<")
    shape = tuple(int(size) for size in array.shape)
    digest = hashlib.sha256(json.dumps([list(shape), dtype.name]).encode())
    for block in _hashed_blocks(shape, dtype.itemsize):
        pixels = np.asarray(array[block]).astype(little_endian, copy=False)
        digest.update(np.ascontiguousarray(pixels).data.cast("B") if pixels.size else b"")
    return digest.hexdigest()


def _hashed_blocks(shape: tuple[int, ...], itemsize: int) -> list[tuple[slice | int, ...]]:
    """Return where to read: one block for all of a small image, the sample of a large one."""
    if len(shape) < 2 or math.prod(shape) * itemsize <= BYTES_HASHED:
        return [tuple(slice(None) for _ in shape)]
    leading = shape[:-2]
    count = math.prod(leading)
    planes = sorted({round(i) for i in np.linspace(0, count - 1, _PLANES_SAMPLED)})
    pixels = BYTES_HASHED // (len(planes) * _BLOCKS_PER_AXIS**2 * itemsize)
    # A narrow axis is taken whole, and the other one gets what that leaves.
    side = math.isqrt(pixels)
    height = min(shape[-2], max(side, pixels // shape[-1]))
    width = min(shape[-1], max(side, pixels // shape[-2]))
    rows, columns = _starts(shape[-2], height), _starts(shape[-1], width)
    return [
        (*map(int, np.unravel_index(plane, leading)), slice(y, y + height), slice(x, x + width))
        for plane, y, x in itertools.product(planes, rows, columns)
    ]


def _starts(size: int, length: int) -> list[int]:
    return sorted({round(start) for start in np.linspace(0, size - length, _BLOCKS_PER_AXIS)})


class Images:
    """The part of `Project` that knows images."""

    _store: Store

    def add_image(
        self,
        name: str,
        source: str,
        shape: Sequence[int],
        dtype: Any,
        axes: str,
        pixel_size: Sequence[float] = (),
        units: str | Sequence[str] = (),
        content_hash: str = "",
    ) -> int:
        """Add an image by reference and return its id; see `ImageRecord` for the values.

        One ``units`` string stands for every axis that has a pixel size. Where ``source`` is a file
        of this computer, its size and time of change are kept, too.
        """
        sizes = [float(size) for size in pixel_size]
        if not all(math.isfinite(size) for size in sizes):
            raise UserError("CN-332", f"'{name[:80]}' has the pixel size {sizes}; give numbers.")
        units = [units] * len(sizes) if isinstance(units, str) else [str(unit) for unit in units]
        with self._store.transaction() as connection:
            image_id = next_id(connection, "image")
            texts = (
                plain_text(name),
                plain_text(source),
                json.dumps([int(size) for size in shape]),
                np.dtype(dtype).name,
                plain_text(axes),
                json.dumps(sizes),
                json.dumps(units),
                content_hash,
                now(),
            )
            put(connection, "image", (image_id, *texts))
            _keep_file(connection, image_id, source)
        return image_id

    def images(self) -> tuple[ImageRecord, ...]:
        """Return the images in the order in which they were added."""
        files = dict(self._store.records("image_file", lambda key, *file: (key, file)))
        splits = self.splits()
        return tuple(
            replace(
                image,
                file_size=files.get(image.id, (-1, ""))[0],
                file_modified=files.get(image.id, (-1, ""))[1],
                split=splits.get(image.id, AUTOMATIC),
            )
            for image in self._store.records("image", _decode_image, "ORDER BY id")
        )

    def splits(self) -> dict[int, str]:
        """Return by image what a person chose it for; images left to chance are not in it."""
        return dict(self._store.records("image_split", lambda key, split: (key, split)))

    def set_split(self, image_id: int, split: str) -> None:
        """Choose what an image is used for.

        Parameters
        ----------
        split
            ``"automatic"``, ``"training"``, ``"validation"`` or ``"test"``.

        Raises
        ------
        UserError
            CN-331 if there is no such image, CN-332 for another word.
        """
        if split not in SPLITS:
            raise UserError("CN-332", f"Split '{split}': choose one of {', '.join(SPLITS)}.")
        self._image_row(image_id)
        with self._store.transaction() as connection:
            if split == AUTOMATIC:
                connection.execute("DELETE FROM image_split WHERE image_id = ?", (image_id,))
            else:
                put(connection, "image_split", (int(image_id), split))

    def annotated_images(self) -> dict[int, tuple[int, bool]]:
        """Return by image how many objects, patches and positions have a class, and if it is painted."""
        counts: dict[int, int] = {}
        with self._store.reading() as connection:
            for table in ("object_class", "patch", "position"):
                query = f"SELECT image_id, count(*) FROM {table} GROUP BY image_id"
                for image_id, count in connection.execute(query):
                    counts[image_id] = counts.get(image_id, 0) + count
            painted = connection.execute("SELECT DISTINCT image_id FROM painted_tile").fetchall()
        is_painted = {image_id for (image_id,) in painted}
        return {key: (counts.get(key, 0), key in is_painted) for key in counts.keys() | is_painted}

    def find_images(self, content_hash: str = "", source: str = "") -> tuple[ImageRecord, ...]:
        """Return the images with this content hash or this source; empty matches nothing."""
        return tuple(
            image
            for image in self.images()
            if (content_hash and image.content_hash == content_hash)
            or (source and image.source == plain_text(source))
        )

    def set_image_source(self, image_id: int, source: str) -> None:
        """Write down where an image's pixels are now.

        Raises
        ------
        UserError
            CN-331 if there is no such image.
        """
        row = self._image_row(image_id)
        with self._store.transaction() as connection:
            put(connection, "image", (*row[:2], plain_text(source), *row[3:]))
            _keep_file(connection, image_id, source)

    def _image_row(self, image_id: int) -> tuple[Any, ...]:
        found = self._store.records("image", lambda *values: values, "WHERE id = ?", (image_id,))
        if not found:
            raise UserError(
                "CN-331", f"Image {image_id} is not in '{short_name(self._store.path)}'."
            )
        return found[0]


def file_state(image: ImageRecord) -> str:
    """Return how the file of an image stands to what the project knows of it.

    Returns
    -------
    str
        ``"unchanged"``, ``"changed"`` (another size or time of change), ``"missing"``, or
        ``"unknown"`` where the project does not know of a file.
    """
    found = _look_at_file(image.source)
    if image.file_size < 0:
        return "unknown"
    if found is None:
        return "missing"
    return "unchanged" if found == (image.file_size, image.file_modified) else "changed"


def _look_at_file(source: str) -> tuple[int, str] | None:
    """Return size and time of change of a file; None where there is none."""
    try:
        status = os.stat(source)
    except (OSError, ValueError):  # an address, a name with a NUL
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    modified = datetime.fromtimestamp(status.st_mtime, UTC).isoformat(timespec="milliseconds")
    return status.st_size, modified.replace("+00:00", "Z")


def _keep_file(connection: sqlite3.Connection, image_id: int, source: str) -> None:
    found = _look_at_file(source) if source else None
    if found is None:
        connection.execute("DELETE FROM image_file WHERE image_id = ?", (image_id,))
    else:
        put(connection, "image_file", (image_id, *found))


def _decode_image(
    image_id: int, name: str, source: str, shape: str, dtype: str, axes: str, *others: str
) -> ImageRecord:
    pixel_size, units, content, added_at = others
    return ImageRecord(
        image_id,
        name,
        source,
        read_tuple(shape),
        dtype,
        axes,
        read_tuple(pixel_size),
        read_tuple(units),
        content,
        added_at,
    )
