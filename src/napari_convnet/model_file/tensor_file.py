"""The `.safetensors` container: eight bytes of length, a JSON header, then the tensors' bytes.

The header is parsed here rather than by the library because a file may come from a stranger:
everything it says is checked against limits and the file's length before anything is allocated.

References
----------
Format: https://huggingface.co/docs/safetensors (header, offsets, padding).
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import torch

from napari_convnet.model_file import refusals

#: Nothing larger is opened or written, whether by the file's length or by what its card asks for.
MAX_BYTES = 2_000_000_000
MAX_HEADER_BYTES = 1_000_000
MAX_TENSORS = 10_000
_MAX_AXES = 8
_NAME = re.compile(r"[A-Za-z0-9_.\-]{1,200}")
_HEX = re.compile(r"[0-9a-f]{64}")
_NO_HASH = "0" * 64

_TYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8,
}  # fmt: skip
_TYPE_NAMES = {dtype: name for name, dtype in _TYPES.items()}


@dataclass(frozen=True)
class Entry:
    """One tensor as the header describes it; its bytes are ``data[begin:end]``."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class Header:
    """A checked header: its raw bytes (length included), its texts and the tensors by name."""

    raw: bytes
    metadata: Mapping[str, str]
    entries: Mapping[str, Entry]
    data_size: int


def strict_json(text: str) -> Any:
    """Parse JSON that has one meaning only.

    Raises
    ------
    ValueError
        For repeated keys, NaN and Infinity, numbers of absurd length and absurdly deep nesting.
    """
    try:
        return json.loads(
            text,
            object_pairs_hook=_unique_keys,
            parse_constant=_refuse_constant,
            parse_int=_short_int,
            parse_float=_finite_float,
        )
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name occurs twice")
    return found


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"it holds {text}, which is no number")


def _short_int(text: str) -> int:
    if len(text) > 20:
        raise ValueError(f"a number has {len(text)} digits")
    return int(text)


def _finite_float(text: str) -> float:
    if len(text) > 40 or not math.isfinite(float(text)):
        raise ValueError("a number is too large or too long")
    return float(text)


def read_header(stream: BinaryIO, size: int, name: str) -> Header:
    """Read and check the header; leave the stream at the first data byte.

    Raises
    ------
    UserError
        CN-103 if the file is shorter than it says, CN-105 if the header breaks a rule.
    """
    if size > MAX_BYTES + MAX_HEADER_BYTES:
        raise refusals.invalid(name, refusals.too_large(size, MAX_BYTES))
    prefix = stream.read(8)
    if len(prefix) < 8:
        raise refusals.damaged(name, f"it has only {len(prefix)} bytes")
    (length,) = struct.unpack("<Q", prefix)
    if not 2 <= length <= MAX_HEADER_BYTES:
        raise refusals.invalid(name, "it does not begin like a .safetensors file")
    if size < 8 + length:
        raise refusals.damaged(name, f"it ends after {size:,} bytes, within its header")
    text = stream.read(length)
    try:
        metadata, entries = _parse(text)
    except ValueError as error:  # UnicodeDecodeError and JSONDecodeError are among them
        raise refusals.invalid(name, f"its header: {error}") from error
    data_size = max((entry.end for entry in entries.values()), default=0)
    if data_size > MAX_BYTES:
        raise refusals.invalid(name, refusals.too_large(data_size, MAX_BYTES))
    if size < 8 + length + data_size:
        raise refusals.damaged(name, f"it has {size:,} bytes of {8 + length + data_size:,}")
    if size > 8 + length + data_size:
        raise refusals.invalid(name, "there is something behind its last tensor")
    return Header(prefix + text, metadata, entries, data_size)


def _parse(text: bytes) -> tuple[dict[str, str], dict[str, Entry]]:
    header = strict_json(text.decode("utf-8"))
    if not isinstance(header, dict):
        raise ValueError("it is no table")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise ValueError("its description is not made of texts")
    if not 1 <= len(header) <= MAX_TENSORS:
        raise ValueError(f"it lists {len(header)} tensors; allowed are 1 to {MAX_TENSORS}")
    entries = {name: _entry(name, said) for name, said in header.items()}
    _refuse_holes_and_overlaps(entries)
    return metadata, entries


def _entry(name: str, said: Any) -> Entry:
    if not _NAME.fullmatch(name):
        raise ValueError(f"a tensor has the unusual name '{refusals.plain_name(name, 40)}'")
    if not isinstance(said, dict) or said.keys() != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"tensor '{name}' lacks type, shape or place")
    dtype = _TYPES.get(said["dtype"]) if isinstance(said["dtype"], str) else None
    if dtype is None:
        raise ValueError(f"tensor '{name}' has an unknown type")
    shape, place = said["shape"], said["data_offsets"]
    if not _are_sizes(shape) or len(shape) > _MAX_AXES:
        raise ValueError(f"tensor '{name}' has an impossible shape")
    if not _are_sizes(place) or len(place) != 2 or place[0] > place[1]:
        raise ValueError(f"tensor '{name}' has an impossible place")
    if math.prod(shape) * dtype.itemsize != place[1] - place[0]:
        raise ValueError(f"tensor '{name}' does not have the length of its shape")
    return Entry(dtype, tuple(shape), place[0], place[1])


def _are_sizes(values: Any) -> bool:
    return isinstance(values, list) and all(
        type(value) is int and 0 <= value < 2**62 for value in values
    )


def _refuse_holes_and_overlaps(entries: Mapping[str, Entry]) -> None:
    reached = 0
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].begin, item[1].end)):
        if entry.begin != reached:
            raise ValueError(f"there is a gap or an overlap before tensor '{name}'")
        reached = entry.end


def read_data(stream: BinaryIO, header: Header, name: str) -> bytearray:
    """Read all tensors' bytes, which the checked header knows to be no more than the file has."""
    data = bytearray(header.data_size)
    if stream.readinto(data) != header.data_size:  # type: ignore[attr-defined]
        raise refusals.damaged(name, "it became shorter while it was read")
    return data


def tensors_in(header: Header, data: bytearray) -> dict[str, torch.Tensor]:
    """Return the tensors by name, as views of ``data``."""
    return {
        name: torch.frombuffer(
            data, dtype=entry.dtype, count=math.prod(entry.shape), offset=entry.begin
        ).reshape(entry.shape)
        if entry.end > entry.begin
        else torch.empty(entry.shape, dtype=entry.dtype)
        for name, entry in header.entries.items()
    }


def refuse_damage(header: Header, data: bytearray, name: str) -> None:
    """Compare the file with the sha256 in its header.

    The hash covers every byte of the file, with the 64 digits of the hash itself read as zeros.
    """
    stated = header.metadata.get("sha256", "")
    if not _HEX.fullmatch(stated) or header.raw.count(_hash_field(stated)) != 1:
        raise refusals.damaged(name, "its checksum is missing")
    blank = header.raw.replace(_hash_field(stated), _hash_field(_NO_HASH))
    if _sha256((blank, data)) != stated:
        raise refusals.damaged(name, "its content differs from what was exported")


def refuse_non_finite(tensors: Mapping[str, torch.Tensor], name: str) -> None:
    """Refuse NaN and infinity: one such weight makes every prediction meaningless."""
    for tensor_name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise refusals.invalid(
                name, f"tensor '{tensor_name}' holds invalid numbers (NaN, infinity)"
            )


def file_bytes(tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> bytes:
    """Return a whole file, its sha256 included; the same content always gives the same bytes.

    Tensors are ordered by the width of their type, then by name: each begins at a multiple of its
    width.
    """
    ordered = sorted(tensors.items(), key=lambda item: (-item[1].dtype.itemsize, item[0]))
    described: dict[str, Any] = {"__metadata__": {**metadata, "sha256": _NO_HASH}}
    pieces, place = [], 0
    for name, tensor in ordered:
        piece = tensor.detach().cpu().contiguous().numpy().tobytes()
        described[name] = {
            "dtype": _TYPE_NAMES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [place, place + len(piece)],
        }
        pieces.append(piece)
        place += len(piece)
    text = json.dumps(described, separators=(",", ":"), allow_nan=False).encode("ascii")
    text += b" " * (-len(text) % 8)
    blank = struct.pack("<Q", len(text)) + text
    digest = _sha256((blank, *pieces))
    return b"".join((blank.replace(_hash_field(_NO_HASH), _hash_field(digest)), *pieces))


def _hash_field(digest: str) -> bytes:
    # Quotes inside the card are escaped in the header, so these very bytes occur there only once.
    return f'"sha256":"{digest}"'.encode("ascii")


def _sha256(pieces: Iterable[bytes | bytearray]) -> str:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()
