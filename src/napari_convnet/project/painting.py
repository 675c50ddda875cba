"""Painted pixels of a project: sparse tiles, of which only those that changed are written."""

from __future__ import annotations

import hashlib
import threading
import zlib
from collections.abc import Iterator, Sequence

import numpy as np

from napari_convnet.errors import UserError
from napari_convnet.project.records import now, plane_text, read_tuple
from napari_convnet.project.store import Store, put
from napari_convnet.project.tasks import check_value

#: Height and width of a tile in pixels.
TILE = 256

#: Image id, plane as text, row and column of the tile.
TileKey = tuple[int, str, int, int]

_HERE = "WHERE image_id = ? AND plane = ? AND tile_y = ? AND tile_x = ?"
_EMPTY = b""


def compress_tile(tile: np.ndarray) -> bytes:
    """Return a (256, 256) uint8 tile as a zlib stream; level 1, because a stroke waits for it."""
    return zlib.compress(np.ascontiguousarray(tile).tobytes(), level=1)


def decompress_tile(stream: bytes) -> np.ndarray:
    """Return the (256, 256) uint8 tile of a zlib stream, never unpacking more than that.

    Raises
    ------
    ValueError
        If the stream holds anything else.
    """
    try:
        pixels = zlib.decompressobj().decompress(stream, TILE * TILE + 1)
    except zlib.error as error:
        raise ValueError("not a zlib stream") from error
    if len(pixels) != TILE * TILE:
        raise ValueError("not a tile")
    return np.frombuffer(pixels, np.uint8).reshape(TILE, TILE)


class Painting:
    """The part of `Project` that knows painted pixels."""

    _store: Store

    def __init__(self) -> None:
        # Held before the store's own lock, never after it.
        self._painting_guard = threading.RLock()
        self._tile_digests: dict[TileKey, bytes] = {}

    def write_painting(
        self,
        image_id: int,
        plane: Sequence[int],
        labels: np.ndarray,
        changed: tuple[int, int, int, int] | None = None,
        origin: tuple[int, int] = (0, 0),
    ) -> int:
        """Save painted class values; only tiles that differ from what is stored are written.

        Parameters
        ----------
        plane
            Indices along the axes before Y and X; empty for a plain 2-D image.
        labels
            Class values, shape (Y, X), unsigned 8 bit; 0 is "not annotated".
        changed
            Rectangle (y0, y1, x0, x1) of ``labels``, ends excluded, outside of which nothing
            changed.
        origin
            Where in the image ``labels`` begins, (y, x): a part of a large image may be written.

        Returns
        -------
        int
            The number of tiles that were written or deleted.

        Raises
        ------
        UserError
            CN-332 if ``labels`` is of another type, CN-333 if a class does not exist, CN-331 if the
            image does not, CN-301 if the disk is full; what was stored before is then unchanged.
        """
        labels = _checked(labels, origin)
        edited: dict[TileKey, tuple[bytes, np.ndarray]] = {}
        with self._painting_guard:
            for row, column in _touched_tiles(labels.shape, changed, origin):
                key = (int(image_id), plane_text(plane), row, column)
                tile = self._with_labels(key, labels, origin)
                digest = _digest(tile)
                if digest != self._stored_digest(key):
                    edited[key] = digest, tile
            if edited:
                self._save_tiles(edited)
                self._tile_digests.update((key, digest) for key, (digest, _) in edited.items())
        return len(edited)

    def read_painting(
        self,
        image_id: int,
        plane: Sequence[int],
        shape: tuple[int, int],
        origin: tuple[int, int] = (0, 0),
    ) -> np.ndarray:
        """Return painted class values, uint8 of shape (Y, X), beginning at ``origin`` (y, x)."""
        labels = np.zeros(shape, np.uint8)
        (top, left), (height, width) = origin, shape
        tiles = self._store.records(
            "painted_tile",
            lambda *row: (row[2], row[3], decompress_tile(row[4])),
            "WHERE image_id = ? AND plane = ? "
            "AND tile_y BETWEEN ? AND ? AND tile_x BETWEEN ? AND ?",
            (
                image_id,
                plane_text(plane),
                top // TILE,
                (top + height - 1) // TILE,
                left // TILE,
                (left + width - 1) // TILE,
            ),
        )
        for row, column, tile in tiles:
            inside, outside = _overlap(row, column, shape, origin)
            labels[outside] = tile[inside]
        return labels

    def painted_planes(self, image_id: int) -> tuple[tuple[int, ...], ...]:
        """Return the planes of an image on which something is painted, in order."""
        with self._store.reading() as connection:
            rows = connection.execute(
                "SELECT DISTINCT plane FROM painted_tile WHERE image_id = ?", (image_id,)
            ).fetchall()
        return tuple(sorted(read_tuple(plane) for (plane,) in rows))

    def painted_tiles(
        self, image_id: int, plane: Sequence[int]
    ) -> tuple[tuple[tuple[int, int], np.ndarray], ...]:
        """Return origin (y, x) and class values, uint8 (256, 256), of every tile that something is painted in."""
        return self._store.records(
            "painted_tile",
            lambda *row: ((row[2] * TILE, row[3] * TILE), decompress_tile(row[4])),
            "WHERE image_id = ? AND plane = ?",
            (image_id, plane_text(plane)),
        )

    def _with_labels(self, key: TileKey, labels: np.ndarray, origin: tuple[int, int]) -> np.ndarray:
        """Return the tile as it would be with ``labels`` pasted into what is stored."""
        inside, outside = _overlap(*key[2:], labels.shape, origin)
        part = labels[outside]
        if part.shape == (TILE, TILE):
            return part
        stored = None if self._stored_digest(key) == _EMPTY else self._stored_tile(key)
        tile = np.zeros((TILE, TILE), np.uint8) if stored is None else stored.copy()
        tile[inside] = part
        return tile

    def _stored_tile(self, key: TileKey) -> np.ndarray | None:
        tiles = self._store.records(
            "painted_tile", lambda *row: decompress_tile(row[4]), _HERE, key
        )
        return tiles[0] if tiles else None

    def _stored_digest(self, key: TileKey) -> bytes:
        """Return the digest of what is stored; a damaged tile counts as empty and so stays."""
        if key not in self._tile_digests:
            tile = self._stored_tile(key)
            self._tile_digests[key] = _EMPTY if tile is None else _digest(tile)
        return self._tile_digests[key]

    def _save_tiles(self, edited: dict[TileKey, tuple[bytes, np.ndarray]]) -> None:
        highest = max(int(tile.max()) for _, tile in edited.values())
        rows = [
            (key, None if digest == _EMPTY else compress_tile(tile))
            for key, (digest, tile) in edited.items()
        ]
        painted_at = now()
        with self._store.transaction() as connection:
            check_value(connection, "segment", highest)
            for key, stream in rows:
                if stream is None:
                    connection.execute(f"DELETE FROM painted_tile {_HERE}", key)
                else:
                    put(connection, "painted_tile", (*key, stream, painted_at))

    def _highest_painted(self) -> int:
        """Return the highest class value in any intact tile."""
        highest = self._store.records(
            "painted_tile", lambda *row: int(decompress_tile(row[4]).max())
        )
        return max(highest, default=0)


def _digest(tile: np.ndarray) -> bytes:
    if not tile.any():
        return _EMPTY
    return hashlib.blake2b(np.ascontiguousarray(tile).data, digest_size=16).digest()


def _checked(labels: np.ndarray, origin: tuple[int, int]) -> np.ndarray:
    labels = np.asarray(labels)
    if labels.ndim != 2 or labels.dtype != np.uint8 or min(origin) < 0:
        raise UserError(
            "CN-332",
            f"Not saved: painted labels are {labels.dtype} of shape {labels.shape} at {origin}; "
            "expected uint8 of shape (Y, X) inside the image.",
        )
    return labels


def _touched_tiles(
    shape: tuple[int, ...],
    changed: tuple[int, int, int, int] | None,
    origin: tuple[int, int],
) -> Iterator[tuple[int, int]]:
    """Yield row and column of every tile that the changed rectangle of the labels touches."""
    y0, y1, x0, x1 = changed or (0, shape[0], 0, shape[1])
    y0, x0, y1, x1 = max(0, y0), max(0, x0), min(shape[0], y1), min(shape[1], x1)
    if y0 >= y1 or x0 >= x1:
        return
    for row in range((origin[0] + y0) // TILE, (origin[0] + y1 - 1) // TILE + 1):
        for column in range((origin[1] + x0) // TILE, (origin[1] + x1 - 1) // TILE + 1):
            yield row, column


def _overlap(
    row: int, column: int, shape: tuple[int, ...], origin: tuple[int, int]
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Return the common part of a tile and an array, as slices of the tile and of the array."""
    inside, outside = [], []
    for start, size, begin in zip((row * TILE, column * TILE), shape, origin, strict=True):
        first, last = max(start, begin), min(start + TILE, begin + size)
        inside.append(slice(first - start, last - start))
        outside.append(slice(first - begin, last - begin))
    return (inside[0], inside[1]), (outside[0], outside[1])
