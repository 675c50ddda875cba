"""What a training began with: written into its record, and found again when it is repeated; both in the worker."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_convnet.errors import UserError
from napari_convnet.networks import starter_sha256
from napari_convnet.progress import Progress
from napari_convnet.project import Project, RunRecord

if TYPE_CHECKING:
    from torch import Tensor

    from napari_convnet.model_file import Model

#: First weights, or the model to go on from; of both at most one.
First = tuple["Mapping[str, Tensor] | None", "Model | None"]
#: What a record calls the choices that are no file and no model.
_KINDS = {"none": "random", "imagenet": "imagenet", "starter": "starter"}


def describe_start(request: Any, project: Project | None) -> dict[str, Any]:
    """Return what a `TrainingRequest` or a `FolderRequest` begins with, as JSON values.

    ``"kind"`` is ``"random"``, ``"starter"``, ``"imagenet"``, ``"weights file"`` or ``"model"``. The starter weights
    are told by the ``"sha256"`` of their file, another file by its ``"path"`` and ``"sha256"``, a model of the project
    by its ``"run"`` and the hash of its bytes, and every model by its ``"name"`` and ``"weights_sha256"``.
    """
    model = request.start_model
    if model is None:
        if request.pretrained in _KINDS:
            return start_facts(request.pretrained)
        return {"kind": "weights file", **_file_facts(Path(request.pretrained))}
    facts = {"kind": "model", "name": model.card.name, "weights_sha256": _weights_hash(model)}
    run = None if project is None else _run_of(model, project)
    if run is not None:
        return {**facts, "run": run.id, "sha256": run.model_sha256}
    path = request.start_path
    return {**facts, **(_file_facts(path) if path is not None and path.is_file() else {})}


def start_facts(pretrained: str) -> dict[str, Any]:
    """Return what is written down of random, starter or ImageNet weights."""
    facts = {"kind": _KINDS[pretrained]}
    return {**facts, "sha256": starter_sha256()} if pretrained == "starter" else facts


def find_start(
    run: RunRecord, project: Project, current: Model | None, stop: threading.Event
) -> Generator[Progress, None, First | None]:
    """Return the weights or the model that a run began with; None when it is stopped before they are here.

    Parameters
    ----------
    current
        The session's model, which may be the one.

    Raises
    ------
    UserError
        CN-205 if what it began with is gone or has changed; CN-110 if ImageNet's weights cannot be fetched anew.
    """
    from napari_convnet.model_file import read_weights
    from napari_convnet.networks import download_weights, fetch_weights, read_starter_weights

    start = _start_of(run)
    if start["kind"] == "random":
        return None, None
    if start["kind"] == "model":
        return None, _find_model(start, project, current)
    if start["kind"] == "starter":
        if start.get("sha256", "") not in ("", starter_sha256()):
            raise _refusal(
                "it began from the starter weights of another version of napari-convnet",
                "Train anew; the record says which version it was.",
            )
        return read_starter_weights(), None
    if start["kind"] == "imagenet":
        network = (run.scores["repeat"]["network"], run.scores["repeat"]["network_settings"])
        fetched = yield from fetch_weights(*network, stop=stop)
        return None if fetched is None else (download_weights(*network), None)
    _check_file(start, "the weights file")
    return read_weights(start["path"]), None


def _start_of(run: RunRecord) -> Mapping[str, Any]:
    """Return what is recorded; of older runs, what their settings tell."""
    start = run.scores["repeat"].get("start")
    if isinstance(start, Mapping) and "kind" in start:
        if not _is_sound(start):
            raise _refusal(
                "its record does not tell what it began with in a way that this version knows",
                "Train anew with the settings that Runs… shows.",
            )
        return start
    if run.settings.get("started_from"):
        return {"kind": "model", "name": run.settings["started_from"]}
    pretrained = run.settings.get("pretrained") or "none"
    if pretrained in _KINDS:
        return {"kind": _KINDS[pretrained]}
    return {"kind": "weights file", "path": pretrained}


def _is_sound(start: Mapping[str, Any]) -> bool:
    """Return whether a record, which may be a stranger's, has what its kind of start needs."""
    texts = ("name", "path", "sha256", "weights_sha256")
    needs = {
        "random": (),
        "starter": (),
        "imagenet": (),
        "weights file": ("path",),
        "model": ("name",),
    }
    kind = start["kind"]
    return (
        all(isinstance(start.get(key, ""), str) for key in texts)
        and kind in needs
        and all(start.get(key) for key in needs[kind])
        and ("run" not in start or "sha256" in start)
    )


def _find_model(start: Mapping[str, Any], project: Project, current: Model | None) -> Model:
    from napari_convnet.model_file import load_model, model_from_bytes

    name, wanted = str(start.get("name", ""))[:60], start.get("weights_sha256")
    is_current = current is not None and (
        _weights_hash(current) == wanted if wanted else current.card.name == start.get("name")
    )
    if is_current:
        return current
    if "run" in start:
        data = next((r for r in project.runs() if r.id == start["run"]), None)
        if data is not None and data.model_sha256 == start["sha256"]:
            return model_from_bytes(project.model_bytes(data.id), f"model of run {data.id}")
        what = "has changed since" if data is not None and data.model_sha256 else "was deleted"
        raise _refusal(
            f"it began from the model of run {start['run']} ('{name}'), which {what}",
            "If you have that model as a file, load it, then press Repeat again.",
        )
    if "path" in start:
        _check_file(start, f"the model file of '{name}'")
        return load_model(Path(start["path"]))
    raise _refusal(
        f"it began from the model '{name}', which is not the current one and in no file that is known",
        "Load that model, then press Repeat again.",
    )


def _check_file(start: Mapping[str, Any], what: str) -> None:
    path = Path(start["path"])
    if start["path"].startswith(
        ("//", "\\\\")
    ):  # looking there could log in at a stranger's computer
        raise _refusal(
            f"{what}, '{str(path)[-90:]}', lies on another computer, where nothing is looked for unasked",
            "Choose that file yourself under Start from, and train.",
        )
    if not path.is_file():
        raise _refusal(
            f"{what}, '{str(path)[-90:]}', is gone", "Put it back there, then press Repeat again."
        )
    if start.get("sha256", "") not in ("", _hash_of(path)):
        raise _refusal(
            f"{what}, '{str(path)[-90:]}', has changed since",
            "Put the file of then back there, then press Repeat again.",
        )


def _refusal(why: str, advice: str) -> UserError:
    return UserError("CN-205", f"This run cannot be repeated: {why}. Nothing was changed. {advice}")


def _file_facts(path: Path) -> dict[str, str]:
    return {"path": str(path), "sha256": _hash_of(path) if path.is_file() else ""}


def _hash_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _weights_hash(model: Model) -> str:
    from napari_convnet.training.recipe import fingerprint

    return fingerprint(dict(model.network.state_dict()))


def _run_of(model: Model, project: Project) -> RunRecord | None:
    """Return the run of the project that has given a model and still keeps it."""
    of_model = json.loads(json.dumps(model.card.scores.get("repeat"), default=str))  # as it is kept
    same = [
        run for run in project.runs()
        if run.model_sha256 and of_model and run.scores.get("repeat") == of_model
    ]  # fmt: skip
    return next((run for run in reversed(same) if _keeps(run, project, model)), None)


def _keeps(run: RunRecord, project: Project, model: Model) -> bool:
    from napari_convnet.model_file import model_from_bytes

    try:
        kept = model_from_bytes(project.model_bytes(run.id), f"model of run {run.id}")
    except UserError:  # damaged
        return False
    return _weights_hash(kept) == _weights_hash(model)
