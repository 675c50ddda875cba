"""Layer graphs as JSON, read under a strict check: the text may come from a stranger's file."""

from __future__ import annotations

import dataclasses
import json
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from napari_convnet.errors import UserError
from napari_convnet.networks.graph import MAX_LAYERS, NAME, Layer, LayerGraph, refuse_graph
from napari_convnet.networks.layers import KIND_BY_NAME, LayerKind

MAX_CHARACTERS = 100_000

_Name = Annotated[str, StringConstraints(pattern=NAME)]
_Word = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
_Integer = Annotated[int, Field(ge=-(2**31), le=2**31)]
_Value = _Integer | float | bool | Annotated[str, StringConstraints(max_length=20)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class _LayerCard(_Strict):
    name: _Name
    kind: _Word
    settings: Annotated[dict[_Word, _Value], Field(max_length=12)] = {}
    inputs: Annotated[list[_Name], Field(min_length=1, max_length=32)]


class _GraphCard(_Strict):
    layers: Annotated[list[_LayerCard], Field(min_length=1, max_length=MAX_LAYERS)]


def graph_to_json(graph: LayerGraph) -> str:
    """Return a graph as compact JSON with all settings, so that later defaults do not change it.

    ``{"layers": [{"name": "conv 1", "kind": "conv2d", "settings": {"filters": 8, ...}, "inputs": ["image"]}, ...]}``
    """
    layers: list[dict[str, Any]] = [
        {
            "name": layer.name,
            "kind": layer.settings.kind,
            "settings": dataclasses.asdict(layer.settings),
            "inputs": list(layer.inputs),
        }
        for layer in graph.layers
    ]
    return json.dumps({"layers": layers}, separators=(",", ":"))


def graph_from_json(text: str) -> LayerGraph:
    """Read a graph that anybody may have written; settings that are left out have their defaults.

    Raises
    ------
    UserError
        CN-530 if it breaks a rule, naming the layer.
    """
    if len(text) > MAX_CHARACTERS:
        raise refuse_graph(f"their text has {len(text):,} characters; limit {MAX_CHARACTERS:,}")
    try:
        card = _GraphCard.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "text"
        raise refuse_graph(f"{where[:60]}: {first['msg'][:100]}", str(error)[:2000]) from error
    return LayerGraph(
        tuple(Layer(entry.name, _settings(entry), tuple(entry.inputs)) for entry in card.layers)
    )


def _settings(entry: _LayerCard) -> LayerKind:
    kind = KIND_BY_NAME.get(entry.kind)
    if kind is None:
        raise refuse_graph(f"'{entry.name}' is of a kind that is not known, '{entry.kind}'")
    defaults = {field.name: field.default for field in dataclasses.fields(kind)}
    for name, value in entry.settings.items():
        if name not in defaults:
            raise refuse_graph(f"'{entry.name}' ({entry.kind}) has no setting '{name}'")
        is_typed = isinstance(defaults[name], bool | str) and name != "padding"
        if is_typed and type(value) is not type(defaults[name]):
            raise refuse_graph(f"'{name}' of '{entry.name}' is {value!r}")
    try:
        return kind(**entry.settings)
    except UserError as error:
        raise refuse_graph(f"'{entry.name}': {error.message}") from error
