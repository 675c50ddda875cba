"""What a project returns: frozen values, one class per kind of row."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from napari_convnet.errors import UserError


@dataclass(frozen=True)
class ImageRecord:
    """An image known to the project, by reference.

    Parameters
    ----------
    id
        What annotations refer to.
    name, source
        As shown to the person, and where the pixels are (path or address, may be empty).
    shape, dtype, axes
        Size along every axis, numpy's type name, one letter per axis such as ``"ZCYX"``.
    pixel_size, units
        Distance between pixels and its unit, one per scaled axis.
    content_hash
        See `content_hash`.
    added_at
        ISO 8601 time, UTC.
    file_size, file_modified
        Bytes and time of change of the file at ``source`` when the image was added or found again;
        -1 and empty where there was none.
    split
        ``"automatic"``, ``"training"``, ``"validation"`` or ``"test"``.
    """

    id: int
    name: str
    source: str
    shape: tuple[int, ...]
    dtype: str
    axes: str
    pixel_size: tuple[float, ...]
    units: tuple[str, ...]
    content_hash: str
    added_at: str
    file_size: int = -1
    file_modified: str = ""
    split: str = "automatic"


@dataclass(frozen=True)
class ObjectAnnotation:
    """The class of one object of a label image.

    ``plane`` holds the indices along the axes before Y and X (empty for a plain 2-D image),
    ``centre`` is (y, x) in pixels, ``value`` the 1-based class, ``annotated_by`` ``"person"`` or
    ``"model"``.
    """

    image_id: int
    labels_name: str
    label: int
    plane: tuple[int, ...]
    centre: tuple[float, float]
    value: int
    annotated_by: str
    annotated_at: str


@dataclass(frozen=True)
class PatchAnnotation:
    """A square of ``size`` x ``size`` pixels around ``centre`` (y, x) with a class."""

    id: int
    image_id: int
    plane: tuple[int, ...]
    centre: tuple[float, float]
    size: int
    value: int
    annotated_at: str


@dataclass(frozen=True)
class PositionAnnotation:
    """A point at ``centre`` (y, x), in pixels with fractions, with a class or, ``value`` 0, none."""

    id: int
    image_id: int
    plane: tuple[int, ...]
    centre: tuple[float, float]
    value: int
    annotated_by: str
    annotated_at: str


@dataclass(frozen=True)
class MarkedPlane:
    """How many points a plane has, and the lowest and the highest of their class values."""

    image_id: int
    plane: tuple[int, ...]
    n_positions: int
    values: tuple[int, int]


@dataclass(frozen=True)
class RunRecord:
    """One training.

    ``outcome`` is ``"finished"``, ``"stopped"``, ``"failed"``, ``"running"``, or ``"interrupted"``
    if the program ended before the run did. ``model_sha256`` is empty if no model was kept.
    """

    id: int
    task: str
    network: str
    settings: Mapping[str, Any]
    data: Mapping[str, Any]
    started_at: str
    ended_at: str
    outcome: str
    scores: Mapping[str, Any]
    message: str
    model_sha256: str
    model_size: int


@dataclass(frozen=True)
class NetworkRecord:
    """Layers that a person has put together, as JSON."""

    name: str
    graph: str


@dataclass(frozen=True)
class EpochRecord:
    """The curve values of one epoch; a value that was not finite is None."""

    epoch: int
    curves: Mapping[str, float | None]


def now() -> str:
    """Return the time as ISO 8601 in UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def plain_text(text: object) -> str:
    """Return text that UTF-8 can hold; a path may carry bytes that it cannot."""
    return str(text).encode("utf-8", "backslashreplace").decode()


def plane_text(plane: Sequence[int]) -> str:
    """Return a plane as the file writes it: a JSON list."""
    return json.dumps([int(index) for index in plane], separators=(",", ":"))


def centre_floats(centre: Sequence[float]) -> tuple[float, float]:
    """Return a centre as two finite floats.

    Raises
    ------
    UserError
        CN-332 if it is anything else.
    """
    y, x = (float(value) for value in centre)
    if not (math.isfinite(y) and math.isfinite(x)):
        raise UserError("CN-332", f"Not saved: the position ({y}, {x}) is not a finite number.")
    return y, x


def json_object(values: Mapping[str, Any]) -> str:
    """Return a mapping as JSON: numpy numbers made plain, numbers that are not finite null."""
    return json.dumps(_plain(values), allow_nan=False, sort_keys=True)


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {plain_text(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return plain_text(value) if isinstance(value, str) else value


def read_object(text: str) -> Mapping[str, Any]:
    """Return the read-only mapping that a JSON object describes."""
    return MappingProxyType(dict(json.loads(text)))


def read_tuple(text: str) -> tuple[Any, ...]:
    """Return the tuple that a JSON list describes."""
    return tuple(json.loads(text))
