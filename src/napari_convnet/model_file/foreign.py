"""Recognising files that we never open, from their name and their first and last bytes.

Nothing is unpacked or parsed beyond that: a hostile archive cannot harm who does not open it.
"""

from __future__ import annotations

import os
import re
from pathlib import PurePath
from typing import BinaryIO

from napari_convnet.model_file import refusals

_PICKLE_SUFFIXES = {
    ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib", ".bin", ".dill", ".npy", ".npz", ".tar",
    ".pyc",
}  # fmt: skip
_CODE_SUFFIXES = {
    ".onnx", ".pt2", ".ptl", ".ts", ".torchscript", ".zip", ".keras", ".h5", ".hdf5", ".tflite",
    ".pb", ".mlmodel", ".mlpackage", ".py", ".exe", ".dll", ".so",
}  # fmt: skip

_ZIP = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
#: Members of archives that bring a network: bioimage.io, TorchScript, torch.export, Keras.
_CODE_INSIDE_ZIP = (
    b"rdf.yaml", b"bioimageio.yaml", b"/code/", b"constants.pkl", b"archive_format",
    b"metadata.json",
)  # fmt: skip
#: gzip, bzip2, xz, zlib (joblib's ways of compressing) and NumPy arrays (objects are pickled).
_PICKLE_STARTS = (
    b"\x1f\x8b",
    b"BZh",
    b"\xfd7zXZ",
    b"\x78\x01",
    b"\x78\x5e",
    b"\x78\x9c",
    b"\x78\xda",
    b"\x93NUMPY",
)
#: HDF5 (Keras), programs, 7z and RAR archives, and what begins a Python script.
_CODE_STARTS = (b"\x89HDF", b"\x7fELF", b"MZ", b"7z\xbc\xaf", b"Rar!", b"#!", b"import ")
#: Protocols 0 and 1: import a name, remember a list, table or tuple, or one value and the end.
_OLD_PICKLE = re.compile(
    rb"\(*(?:[ci][A-Za-z_][\w.]*\n[A-Za-z_][\w.]*\n|[dlt]p\d+\n|[)\]}][qr.]"
    rb"|[FILSV][^\n]*\n(?:p\d+\n)?\.)"
)
_LOOK_AT = 65_536


def refuse_foreign(stream: BinaryIO, size: int, name: str) -> None:
    """Refuse pickles (CN-101) and models that bring code (CN-102); leave the stream at its start.

    Parameters
    ----------
    stream, size
        The file, open for reading, and its length in bytes.
    name
        Its name as it may be shown; the suffix counts as well as the content.
    """
    head = stream.read(_LOOK_AT)
    stream.seek(max(0, size - _LOOK_AT))
    tail = stream.read(_LOOK_AT)
    stream.seek(0, os.SEEK_SET)
    suffix = PurePath(name).suffix.lower()
    if not _starts_like_safetensors(head):
        if head.startswith(_ZIP):
            _refuse_zip(head + tail, suffix, name)
        if head.startswith(_PICKLE_STARTS) or head[257:262] == b"ustar" or _is_pickle(head):
            raise refusals.runs_programs(name)
        if head.startswith(_CODE_STARTS) or head[4:8] == b"TFL3" or _is_onnx(head):
            raise refusals.needs_code(name)
    if suffix in _PICKLE_SUFFIXES:
        raise refusals.runs_programs(name)
    if suffix in _CODE_SUFFIXES:
        raise refusals.needs_code(name)


def _starts_like_safetensors(head: bytes) -> bool:
    """Whether a length below 16 MB in eight bytes is followed by the header's brace."""
    return len(head) > 8 and head[3:8] == bytes(5) and head[8:9] == b"{"


def _refuse_zip(ends: bytes, suffix: str, name: str) -> None:
    if any(inside in ends for inside in _CODE_INSIDE_ZIP):
        raise refusals.needs_code(name)
    if suffix in _PICKLE_SUFFIXES or b"data.pkl" in ends:
        raise refusals.runs_programs(name)
    raise refusals.needs_code(name)


def _is_onnx(head: bytes) -> bool:
    """Whether it is a protocol buffer with a small version number, then a text or a graph."""
    return head[:1] == b"\x08" and head[1:2] < b"\x20" and head[2:3] in (b"\x12", b"\x3a")


def _is_pickle(head: bytes) -> bool:
    """Whether it begins like a pickle of any protocol."""
    has_mark = head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")
    return has_mark or _OLD_PICKLE.match(head) is not None
