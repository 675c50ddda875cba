"""Files that a stranger might send: each is refused in words, quickly, and nothing in it is run."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle  # noqa: TID251 (the attack, not the defence)
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib  # noqa: TID251 (the attack, not the defence)
import numpy as np
import pytest
import torch

from model_file_builders import put_together, raw_file, small_model, take_apart
from napari_convnet.model_file import model_bytes
from napari_convnet.model_file.card import FORMAT_VERSION
from napari_convnet.networks.network_settings import STARTER_GRAPH

CANARY = Path(os.environ.get("TMPDIR", "/tmp")) / f"napari-convnet-canary-{os.getpid()}"


class Attack:
    """Unpickling this creates the canary file."""

    def __reduce__(self) -> tuple[Callable, tuple]:
        return os.system, (f"touch {CANARY}",)


def entry(begin: int, end: int, shape: Any, dtype: Any = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def written(write: Callable[[io.BytesIO], Any]) -> bytes:
    stream = io.BytesIO()
    write(stream)
    return stream.getvalue()


def zipped(*members: tuple[str, bytes], compress: bool = False) -> bytes:
    stream = io.BytesIO()
    method = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return stream.getvalue()


def tarred(name: str, content: bytes) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        info = tarfile.TarInfo(name)
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def zip_with(offset_of: bytes, at: int, value: bytes) -> bytes:
    """Return an archive one of whose fields, ``at`` bytes behind a mark, is overwritten."""
    archive = bytearray(zipped(("data.bin", b"x" * 100)))
    place = archive.index(offset_of) + at
    archive[place : place + len(value)] = value
    return bytes(archive)


def pickles() -> dict[str, bytes]:
    """Return pickles under many names, and pickles of every protocol under ours."""
    files = {
        f"{kind}{suffix}": pickle.dumps(Attack())
        for kind, suffix in enumerate((".pt", ".pth", ".ckpt", ".pkl", ".joblib", ".bin", ".dill"))
    }
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        files[f"protocol{protocol}.safetensors"] = pickle.dumps(Attack(), protocol)
    attack = {"state_dict": Attack()}
    legacy = {"_use_new_zipfile_serialization": False}
    return {
        **files,
        "zip.safetensors": written(lambda s: torch.save(attack, s)),
        "legacy.safetensors": written(lambda s: torch.save(attack, s, **legacy)),
        "zip.pt": written(lambda s: torch.save(attack, s)),
        "tar.safetensors": tarred("pickle", pickle.dumps(Attack())),
        "joblib.safetensors": written(lambda s: joblib.dump(Attack(), s)),
        "joblib_zlib.safetensors": written(
            lambda s: joblib.dump(Attack(), s, compress=("zlib", 3))
        ),
        "joblib_gzip.safetensors": gzip.compress(pickle.dumps(Attack())),
        "cells_seg.npy": written(lambda s: np.save(s, np.array(Attack(), dtype=object))),
        "seg.safetensors": written(lambda s: np.save(s, np.array(Attack(), dtype=object))),
        "weights.npz": written(lambda s: np.savez(s, a=np.array(Attack(), dtype=object))),
    }


def foreign() -> dict[str, bytes]:
    """Return models that bring a network, and archives that attack who unpacks them."""
    description = (
        b"weights: {pytorch_state_dict: {architecture: {import_from: os, callable: system, "
        b"kwargs: {command: touch canary}}}}"
    )
    script = (("m/data.pkl", pickle.dumps(Attack())), ("m/code/__torch__.py", b"import os"))
    slips = (
        "../evil", "..\\evil", "/etc/evil", "C:\\evil", "a/../../evil", "\\\\host\\evil",
        "evil\0.txt", "CON", "./../evil",
    )  # fmt: skip
    bomb = zipped(("zeros", bytes(20_000_000)), compress=True)
    twice = zipped(("same.bin", b"1"), ("samf.bin", b"2")).replace(b"samf.bin", b"same.bin")
    onnx = b"\x08\x08\x12\x07pytorch\x1a\x052.1.0:\x10external_data"
    return {
        "bioimageio.zip": zipped(("rdf.yaml", description)),
        "bioimageio.safetensors": zipped(("rdf.yaml", description)),
        "torchscript.ts": zipped(*script, ("m/constants.pkl", b"")),
        "torchscript.safetensors": zipped(*script, ("m/constants.pkl", b"")),
        "exported.pt2": zipped(("m/archive_format", b"pt2"), ("m/data/model.pt", b"")),
        "exported.safetensors": zipped(("m/archive_format", b"pt2")),
        "network.onnx": onnx,
        "onnx.safetensors": onnx,
        "network.keras": zipped(("config.json", b"{}"), ("metadata.json", b"{}")),
        "keras.safetensors": b"\x89HDF\r\n\x1a\n" + bytes(100),
        "slip.safetensors": zipped(*((name, b"x") for name in slips)),
        "twice.safetensors": twice,
        "encrypted.safetensors": zip_with(b"PK\x03\x04", 6, b"\x01\x00"),
        "zip64.safetensors": zip_with(b"PK\x01\x02", 20, b"\xff" * 8),
        "sizes.safetensors": zip_with(b"PK\x01\x02", 24, b"\x01\x00\x00\x00"),
        "bomb.safetensors": bomb,
        "nested.safetensors": zipped(("inner.zip", bomb)),
        "program.safetensors": b"\x7fELF" + bytes(100),
        "script.safetensors": b"#!/bin/sh\ntouch canary\n",
    }


def lying_headers() -> dict[str, bytes]:
    """Return files whose safetensors header breaks a rule or promises what is not there."""
    four = bytes(16)
    return {
        "length_2_63.safetensors": raw_file({}, length=2**63),
        "length_2_64.safetensors": raw_file({}, length=2**64 - 1),
        "length_200_mb.safetensors": raw_file({}, bytes(1000), length=200_000_000),
        "empty_header.safetensors": raw_file({}),
        "list.safetensors": raw_file([]),
        "not_json.safetensors": raw_file(b"{'a': 1}"),
        "not_utf8.safetensors": raw_file(b'{"\xff\xfe": 1}'),
        "overlap.safetensors": raw_file({"a": entry(0, 12, [3]), "b": entry(8, 16, [2])}, four),
        "hole.safetensors": raw_file({"a": entry(0, 4, [1]), "b": entry(8, 16, [2])}, four),
        "late_start.safetensors": raw_file({"a": entry(4, 16, [3])}, four),
        "behind.safetensors": raw_file({"a": entry(0, 8, [2])}, four),
        "backwards.safetensors": raw_file({"a": entry(16, 0, [4])}, four),
        "dtype.safetensors": raw_file({"a": entry(0, 16, [4], "OBJECT")}, four),
        "dtype_list.safetensors": raw_file({"a": entry(0, 16, [4], ["F32"])}, four),
        "negative.safetensors": raw_file({"a": entry(0, 16, [-2, -2])}, four),
        "fraction.safetensors": raw_file({"a": entry(0, 16, [4.0])}, four),
        "boolean.safetensors": raw_file({"a": entry(0, 4, [True])}, four[:4]),
        "overflow.safetensors": raw_file({"a": entry(0, 16, [2**31, 2**31, 4])}, four),
        "axes.safetensors": raw_file({"a": entry(0, 4, [1] * 100_000)}, four[:4]),
        "41_gb.safetensors": raw_file({"a": entry(0, 41 * 10**9, [41 * 10**9 // 4])}, four),
        "extra_key.safetensors": raw_file({"a": {**entry(0, 16, [4]), "run": "touch"}}, four),
        "metadata.safetensors": raw_file(
            {"__metadata__": {"a": [1]}, "a": entry(0, 16, [4])}, four
        ),
        "twice_named.safetensors": raw_file(b'{"a":1,"a":2}'),
        "deep.safetensors": raw_file(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
        "digits.safetensors": raw_file(b'{"a":' + b"9" * 5_000 + b"}"),
        "nan.safetensors": raw_file(b'{"a":NaN}'),
        "infinity.safetensors": raw_file(b'{"a":-Infinity}'),
        "huge_float.safetensors": raw_file(b'{"a":1e999}'),
        "long_string.safetensors": raw_file(b'{"a":"' + b"x" * 2_000_000 + b'"}'),
        "tensor_name.safetensors": raw_file({"<b>\u202e\x00": entry(0, 16, [4])}, four),
        "many.safetensors": raw_file({f"{i}": entry(0, 0, [0]) for i in range(15_000)}),
        "empty.safetensors": b"",
        "short.safetensors": b"\x10\x00\x00",
        "text.safetensors": b"This is a model. Really.",
        "page.safetensors": b"<!DOCTYPE html><title>404</title>",
    }


def own(graph: str) -> dict[str, object]:
    """Return the changes of a card that names layers of its own."""
    return {"network": "custom", "network_settings": {"graph": graph}}


def lying_cards() -> dict[str, bytes]:
    """Return whole files with fitting hashes whose card asks for what it must not."""
    tensors, card = take_apart(model_bytes(small_model()))
    text = json.dumps(card)
    unet = {"task": "segment", "network": "unet", "input_size": [64, 64]}
    classes = [{"name": name, "colour": "#112233"} for name in ("a", "b", "<a href=x>")]
    changes: dict[str, dict[str, Any]] = {
        "html": {"classes": classes},
        "bidi": {"name": "cells\u202e\u2066gpj"},
        "nul": {"channels": ["DAPI\0", "GFP"]},
        "escape": {"units": ["\x1b[2J", "µm"]},
        "empty_name": {"name": " "},
        "import": {"network": "os.system", "network_settings": {"command": "touch canary"}},
        "dunder": {"network": "__import__"},
        "path": {"network": "../../evil"},
        "unknown_key": {"architecture": {"import_from": "os", "callable": "system"}},
        "pretrained": {"network_settings": {"weights": "DEFAULT"}},
        "parameters": {**unet, "network_settings": {"width": 128, "levels": 6}},
        "10_12": {"network_settings": {"width": 10**12}},
        "graph_code": own(
            '{"layers":[{"name":"a","kind":"__import__(\'os\')","inputs":["image"]}]}'
        ),
        "graph_large": own(
            '{"layers":[{"name":"a","kind":"flatten","inputs":["image"]},'
            '{"name":"b","kind":"linear","settings":{"units":65536},"inputs":["a"]},'
            '{"name":"c","kind":"linear","settings":{"units":65536},"inputs":["b"]}]}'
        ),
        "graph_deep": own("[" * 90_000),
        "graph_long": own(" " * 200_000),
        "graph_elsewhere": {"network_settings": {"graph": STARTER_GRAPH}},
        "sides": {"input_size": [10**9, 10**9]},
        "zero_std": {"normalisation": {"mode": "training_set", "mean": [0, 0], "std": [0, 1]}},
        "colour": {"classes": [{"name": "a", "colour": "red"}]},
        "300_classes": {"classes": [{"name": f"{i}", "colour": "#112233"} for i in range(300)]},
        "no_version": {"format_version": None},
        "text_version": {"format_version": "1"},
        "version_0": {"format_version": 0},
        "newer": {"format_version": FORMAT_VERSION + 1},
    }
    files = {f"card_{key}": put_together(tensors, {**card, **new}) for key, new in changes.items()}
    nested = "[" * 100_000 + "]" * 100_000
    files |= {
        "card_nan": put_together(tensors, text.replace("1.5", "NaN")),
        "card_infinity": put_together(tensors, text.replace("200.25", "Infinity")),
        "card_twice": put_together(tensors, text[:-1] + ', "name": "again"}'),
        "card_deep": put_together(tensors, text.replace("1.5", nested)),
        "card_digits": put_together(tensors, text.replace("1.5", "9" * 5_000)),
        "card_list": put_together(tensors, [card]),
        "card_nothing": put_together(tensors, ""),
        "card_surrogate": put_together(tensors, text.replace('"cells"', '"\\ud800"')),
    }
    return {f"{name}.safetensors": data for name, data in files.items()}


HOSTILE = {"CN-101": pickles, "CN-102": foreign, "": lying_headers, "card": lying_cards}

#: Opens every file of a folder with a hook that writes down what would run, write or connect.
CHILD = """
import json, os, resource, sys, time, typing
from pathlib import Path
from napari_convnet.errors import UserError
from napari_convnet.model_file import load_model

seen = None
RUNS = ("exec", "compile", "import", "subprocess", "os.system", "os.exec", "os.fork", "os.spawn",
        "os.posix_spawn", "pty", "socket", "ctypes", "pickle", "marshal", "os.rename", "os.remove",
        "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.chmod", "os.truncate", "shutil",
        "tempfile")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

def hook(event, arguments):
    if seen is None:
        return
    if event.startswith(RUNS) or (event == "open" and arguments[2] & WRITING):
        # typing evaluates the annotations of our own settings classes, which no file can change.
        if sys._getframe(1).f_code.co_filename != typing.__file__:
            seen.append(f"{event} {arguments[:2]}")

sys.addaudithook(hook)
folder, good = Path(sys.argv[1]), sys.argv[2]
load_model(good)
# Our own networks are imported when a card first names them.
from napari_convnet.networks import backbones, graph_json, graph_network, unet
try:
    load_model(good + ".absent")
except UserError:
    pass
files = sorted(folder.iterdir())
status = Path("/proc/self/status")
if status.exists():
    lines = status.read_text().splitlines()
    size = next(int(line.split()[1]) for line in lines if line.startswith("VmSize"))
    resource.setrlimit(resource.RLIMIT_AS, ((size + 400_000) * 1024, -1))
results = {}
for path in files:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    seen = []
    try:
        load_model(path)
        outcome = ["opened", ""]
    except UserError as error:
        outcome = [error.code, error.message]
    except BaseException as error:
        outcome = [type(error).__name__, str(error)]
    events, seen = seen, None
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    seconds = time.process_time() - start
    results[path.name] = [*outcome, events, grown / 1024, seconds]
print(json.dumps(results))
"""


@pytest.fixture(scope="module")
def hostile_files() -> dict[str, tuple[str, bytes]]:
    return {
        name: (group, data) for group, build in HOSTILE.items() for name, data in build().items()
    }


@pytest.fixture(scope="module")
def results(
    hostile_files: dict[str, tuple[str, bytes]], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list]:
    pytest.importorskip("resource", reason="memory and processor time are limited by POSIX means")
    folder = tmp_path_factory.mktemp("hostile")
    for name, (_, data) in hostile_files.items():
        (folder / name).write_bytes(data)
    with open(folder / "3_gb.safetensors", "wb") as sparse:
        sparse.write(raw_file({"a": entry(0, 3 * 10**9, [3 * 10**9 // 4])}))
        sparse.truncate(3 * 10**9 + 80)
    (folder / "link.safetensors").symlink_to(folder / "0.pt")
    (folder / "folder.safetensors").mkdir()
    good = tmp_path_factory.mktemp("good") / "good.safetensors"
    good.write_bytes(model_bytes(small_model()))
    before = sorted(p.name for p in folder.iterdir())
    child = subprocess.run(
        [sys.executable, "-c", CHILD, str(folder), str(good)],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert child.returncode == 0, child.stderr[-2000:]
    assert sorted(p.name for p in folder.iterdir()) == before
    return json.loads(child.stdout)


def test_there_are_enough_hostile_files(results: dict[str, list]) -> None:
    assert len(results) >= 80


def test_each_hostile_file_is_refused_with_the_words_for_its_kind(
    results: dict[str, list], hostile_files: dict[str, tuple[str, bytes]]
) -> None:
    for name, (code, message, *_) in results.items():
        group = hostile_files.get(name, ("", b""))[0]
        expected = {group} if group in ("CN-101", "CN-102") else {"CN-103", "CN-105"}
        if group == "card":
            expected = {"CN-104"} if "newer" in name else {"CN-105"}
        if name == "link.safetensors":
            expected = {"CN-101"}
        if name in ("weights.npz", "script.safetensors"):
            expected = {"CN-101", "CN-102"}
        assert code in expected, f"{name}: {code} {message}"
        assert len(message) <= 300, f"{name}: {len(message)} characters"
        assert name in message
        assert all(c.isprintable() and c not in "<>" for c in message), f"{name}: {message!r}"


def test_no_hostile_file_runs_writes_or_connects(results: dict[str, list]) -> None:
    assert {name: r[2] for name, r in results.items() if r[2]} == {}
    assert not CANARY.exists()


def test_no_hostile_file_takes_much_memory(results: dict[str, list]) -> None:
    assert {name: r[3] for name, r in results.items() if r[3] > 100} == {}


@pytest.mark.skipif(os.name == "nt", reason="the attack is a POSIX shell command")
def test_the_attack_is_real_where_a_pickle_is_opened_carelessly() -> None:
    try:
        pickle.loads(pickle.dumps(Attack()))  # noqa: S301 (proves that the canary would sing)
        assert CANARY.exists()
    finally:
        CANARY.unlink(missing_ok=True)
