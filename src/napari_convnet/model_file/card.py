"""The card: everything besides the weights that using a model takes, under a strict schema."""

from __future__ import annotations

import math
import re
import unicodedata
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    model_serializer,
    model_validator,
)

from napari_convnet.classes import MAX_CLASSES
from napari_convnet.errors import UserError

#: The newest format that this version reads.
FORMAT_VERSION = 3

#: How objects are made of a segmentation whose last output is how deep each pixel lies in its object, from 0 to 1.
DEPTH = "depth"

_TAG = re.compile(r"<[A-Za-z/!?]")
#: Characters that turn the reading direction around: a stranger's text must read as it is stored.
_DIRECTION_MARKS = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_RESERVED_SETTINGS = {"network_id", "in_channels", "n_classes", "input_size"}


def _showable(text: str) -> str:
    if _TAG.search(text):
        raise ValueError("text with HTML tags is not allowed")
    if any(
        c in _DIRECTION_MARKS or unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in text
    ):
        raise ValueError("control characters are not allowed")
    return text


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("a blank name is not allowed")
    return text


def _clean_json(value: object) -> object:
    """Check every text inside a JSON value, and turn NaN, which JSON does not know, into None."""
    if isinstance(value, dict):
        return {_clean_json(key): _clean_json(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_clean_json(inner) for inner in value]
    if isinstance(value, float) and math.isnan(value):
        return None
    return _showable(value) if isinstance(value, str) else value


def _iso_time(text: str) -> str:
    datetime.fromisoformat(text)
    return text


Text = Annotated[str, StringConstraints(max_length=2000), AfterValidator(_showable)]
Name = Annotated[Text, StringConstraints(max_length=60), AfterValidator(_not_blank)]
Json = Annotated[JsonValue, BeforeValidator(_clean_json)]
Identifier = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_.\-]{0,59}$")]
Side = Annotated[int, Field(ge=1, le=4096)]
#: The layers of a person's own network, as JSON; `napari_convnet.networks.graph_json` checks what it says.
GraphText = Annotated[str, StringConstraints(max_length=100_000), AfterValidator(_showable)]
Integer = Annotated[int, Field(ge=-(2**53), le=2**53)]
Scalar = Integer | float | bool | Text | None


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class ClassCard(_Strict):
    """One class: its name, its colour as ``#rrggbb``, and whether it means "nothing here"."""

    name: Name
    colour: Annotated[str, StringConstraints(pattern=r"^#[0-9a-fA-F]{6}$")]
    is_background: bool = False


class NormalisationCard(_Strict):
    """How an image's values were brought to the network's range.

    Parameters
    ----------
    mode
        ``"per_image"`` and ``"percentiles"``: each image by its own values; ``"training_set"``: by ``mean`` and
        ``std``; ``"unit"``: nothing is changed.
    mean, std
        One number a channel, in the image's own units; empty where the mode does not use them.
    """

    mode: Literal["per_image", "percentiles", "training_set", "unit"]
    mean: Annotated[tuple[float, ...], Field(max_length=256)] = ()
    std: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(max_length=256)] = ()


class LocateCard(_Strict):
    """How positions are read off what a network gives.

    Parameters
    ----------
    mode
        ``"patch"``: the network gives row and column of one position, in pixels from the patch's centre;
        ``"heat_map"``: it gives a map a class, with a spot of height 1 at every position.
    sigma
        Standard deviation of a spot in pixels; peaks that are closer are one position. Heat maps only.
    threshold
        Height from which a peak is a position. Heat maps only.
    orientations
        8 where the network was trained on patches in all ways in which a square can be turned and mirrored,
        so that the mean of its eight answers may be taken; else 1.
    """

    mode: Literal["patch", "heat_map"]
    orientations: Literal[1, 8] = 1
    sigma: Annotated[float, Field(ge=0.1, le=100)] | None = None
    threshold: Annotated[float, Field(gt=0, le=10)] | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> LocateCard:
        has_peaks = self.mode == "heat_map"
        if (self.sigma is not None, self.threshold is not None) != (has_peaks, has_peaks):
            raise ValueError("sigma and threshold belong to heat maps, and only to them")
        return self


class ModelCard(_Strict):
    """What a model is, for which images, and how it came to be. Sequences are tuples.

    Parameters
    ----------
    format_version
        Version of the file format, see `format_version_of`.
    name
        The model's name, 1 to 60 characters.
    task
        ``"classify"`` (one class for a patch or image), ``"segment"`` (one for every pixel) or ``"locate"``
        (positions).
    network, network_settings
        Id in the catalogue of networks, and its settings there; those of ``"custom"`` hold its layers.
    channels
        Names of the image channels, in the order in which the network takes them.
    classes
        Class k (1-based) is output channel k - 1.
    input_size
        (Y, X) in pixels: what the network takes to classify; the patch it was trained on to
        segment.
    patch_size
        Side in image pixels of the square cut around an object; None where whole images are
        resized.
    normalisation
        How image values are scaled before the network.
    objects_from
        How objects are made from a segmentation, such as ``"components"``; None where they are not. With
        ``"depth"`` the network has one output more than classes, see `DEPTH`.
    locate
        How positions are found; None for other tasks.
    temperature
        What logits are divided by before they become probabilities of classes.
    pixel_size, units
        Size of a pixel along each spatial axis, slowest axis first, and the unit of each.
    training, scores, versions
        Settings, results and library versions, for people to read. NaN in scores is kept as None.
    created
        Time in ISO 8601.
    """

    format_version: Annotated[int, Field(ge=1, le=FORMAT_VERSION)] = 1
    name: Name
    task: Literal["classify", "segment", "locate"]
    network: Identifier
    network_settings: Annotated[
        dict[Identifier, Integer | float | bool | Name | GraphText], Field(max_length=32)
    ]
    channels: Annotated[tuple[Name, ...], Field(min_length=1, max_length=256)]
    classes: Annotated[tuple[ClassCard, ...], Field(min_length=1, max_length=MAX_CLASSES)]
    input_size: tuple[Side, Side]
    patch_size: Annotated[int, Field(ge=1, le=100_000)] | None = None
    normalisation: NormalisationCard
    objects_from: Identifier | None = None
    locate: LocateCard | None = None
    temperature: Annotated[float, Field(gt=0, le=1000)] = 1.0
    pixel_size: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(max_length=5)] | None = (
        None
    )
    units: Annotated[tuple[Name, ...], Field(max_length=5)] | None = None
    training: Annotated[dict[Name, Scalar], Field(max_length=200)] = {}
    scores: Annotated[dict[Name, Json], Field(max_length=200)] = {}
    versions: Annotated[dict[Name, Text], Field(max_length=50)] = {}
    created: Annotated[str, StringConstraints(max_length=40), AfterValidator(_iso_time)]

    @model_serializer(mode="wrap")
    def _without_what_format_1_does_not_know(self, serialise: Any) -> dict[str, Any]:
        values = serialise(self)
        values["format_version"] = format_version_of(self.task, self.temperature, self.objects_from)
        if values["locate"] is None:
            del values["locate"]
        if values["temperature"] == 1:
            del values["temperature"]
        return values

    @property
    def background_value(self) -> int:
        """Value of the class that forms no objects; 0 where none is called background, and every class forms some."""
        entries = enumerate(self.classes, start=1)
        return next((value for value, entry in entries if entry.is_background), 0)

    @property
    def network_task(self) -> Literal["classify", "segment", "locate"]:
        """Task that the network has in the catalogue: a heat map, like a segmentation, has a value a pixel."""
        is_map = self.locate is not None and self.locate.mode == "heat_map"
        return "segment" if is_map else self.task

    @property
    def has_depth(self) -> bool:
        """Whether the network's last output is how deep each pixel lies in its object."""
        return self.objects_from == DEPTH

    @property
    def n_outputs(self) -> int:
        """Channels of the network's output: row and column of a patch's position, else one a class, and the depth."""
        return 2 if self.network_task == "locate" else len(self.classes) + self.has_depth

    @model_validator(mode="after")
    def _fits_together(self) -> ModelCard:
        if (self.task == "locate") != (self.locate is not None):
            raise ValueError("a model that locates, and only such a one, says how")
        if self.has_depth and self.task != "segment":
            raise ValueError("only a model that segments has depths of objects")
        oldest, newest = (
            format_version_of(self.task, t, self.objects_from) for t in (1.0, self.temperature)
        )
        if not oldest <= self.format_version <= newest:
            raise ValueError(f"format {self.format_version} is not the one to {self.task}")
        if self.network_task == "locate" and (self.patch_size,) * 2 != self.input_size:
            raise ValueError("patch_size is not the side of input_size")
        names = [entry.name for entry in self.classes]
        if len(set(names)) != len(names):
            raise ValueError("two classes have the same name")
        if _RESERVED_SETTINGS & self.network_settings.keys():
            raise ValueError("a network setting has a reserved name")
        for name, value in self.network_settings.items():
            is_graph = self.network == "custom" and name == "graph"
            if isinstance(value, str) and not is_graph and not 1 <= len(value.strip()) <= 60:
                raise ValueError(f"network setting '{name}' has {len(value)} characters")
        scaling = self.normalisation
        expected = len(self.channels) if scaling.mode == "training_set" else len(scaling.mean)
        if not len(scaling.mean) == len(scaling.std) == expected or expected not in (
            0,
            len(self.channels),
        ):
            raise ValueError("normalisation needs one mean and one std for every channel")
        return self


def format_version_of(task: str, temperature: float = 1.0, objects_from: str | None = None) -> int:
    """Return the format in which a card is written: the oldest one that can say what it says."""
    if objects_from == DEPTH:
        return 3
    return 2 if task == "locate" or temperature != 1 else 1


def check_channels(card: ModelCard, n_channels: int, layer_name: str) -> None:
    """Refuse an image whose number of channels is not the model's.

    Raises
    ------
    UserError
        CN-106, with both numbers.
    """
    expected = len(card.channels)
    if n_channels != expected:
        names = ", ".join(card.channels)
        names = names if len(names) <= 80 else names[:79] + "\u2026"
        raise UserError(
            "CN-106",
            f"This model expects {expected} channel{'s' * (expected != 1)} ({names}); layer "
            f"'{layer_name[:60]}' has {n_channels}. Choose other channels or another model.",
        )
