"""A graph while it is edited: layers in any state, every edit a new value, and the first layer that is wrong."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from napari_convnet.errors import UserError
from napari_convnet.networks import lecture
from napari_convnet.networks.catalogue import NETWORKS, network_entry
from napari_convnet.networks.entry import Task
from napari_convnet.networks.graph import (
    IMAGE,
    MAX_LAYERS,
    NAME,
    LaidOutLayer,
    Layer,
    LayerGraph,
    refuse_graph,
)
from napari_convnet.networks.layers import LayerKind, MaxPool2d, MaxUnpool2d, Shape

Made = TypeVar("Made")

#: Networks of the catalogue that are layer graphs, which a person can begin with.
GRAPH_NETWORKS = tuple(
    name for name in NETWORKS if name not in ("convnet", "unet") and hasattr(lecture, name)
)


def catalogue_graph(network_id: str, n_classes: int) -> LayerGraph:
    """Return the layers of one of `GRAPH_NETWORKS` for a number of classes."""
    return getattr(lecture, network_id)(n_classes, network_entry(network_id).settings())


@dataclass(frozen=True)
class Draft:
    """Layers that need not make a network yet; edits return another draft and keep names unique."""

    layers: tuple[Layer, ...]

    def graph(self) -> LayerGraph:
        """Return the network.

        Raises
        ------
        UserError
            CN-530 if the layers make none.
        """
        return LayerGraph(self.layers)

    def names_before(self, index: int) -> tuple[str, ...]:
        """Return what a layer can take: the image and all earlier layers."""
        return (IMAGE, *(layer.name for layer in self.layers[:index]))

    def add(self, after: int, settings: LayerKind) -> Draft:
        """Insert a layer behind another one (-1: in front), and let the next one that took that one take it.

        Raises
        ------
        UserError
            CN-530 if there are too many layers.
        """
        if len(self.layers) >= MAX_LAYERS:
            raise refuse_graph(f"{MAX_LAYERS} layers are the most")
        before = self.names_before(after + 1)
        source, name = before[-1], self._free_name(settings.word)
        inputs = (source,)
        if settings.n_inputs[0] > 1:
            inputs = (source, self._second_input(after, settings))
        later, is_taken = [], False
        for layer in self.layers[after + 1 :]:
            if not is_taken and source in layer.inputs:
                layer, is_taken = _retake(layer, source, name), True
            later.append(layer)
        return Draft((*self.layers[: after + 1], Layer(name, settings, inputs), *later))

    def _second_input(self, after: int, settings: LayerKind) -> str:
        """Return what joins a branch: the input of the layer before, or the last max pool."""
        earlier = self.layers[: after + 1]
        if isinstance(settings, MaxUnpool2d):
            pools = [layer.name for layer in earlier if isinstance(layer.settings, MaxPool2d)]
            return pools[-1] if pools else IMAGE
        return _main_input(earlier[-1]) if earlier else IMAGE

    def _free_name(self, word: str) -> str:
        keys = {layer.key for layer in self.layers}
        number = 1
        while f"{word} {number}".replace(" ", "_") in keys:
            number += 1
        return f"{word} {number}"

    def remove(self, index: int) -> Draft:
        """Take a layer out; what took it takes its first input instead.

        Raises
        ------
        UserError
            CN-530 if it is the only one.
        """
        if len(self.layers) == 1:
            raise refuse_graph("a network has at least one layer")
        gone = self.layers[index]
        kept = [_retake(layer, gone.name, _main_input(gone)) for layer in self.layers]
        return Draft(tuple(kept[:index] + kept[index + 1 :]))

    def move(self, index: int, by: int) -> Draft:
        """Exchange a layer with its neighbour (``by`` 1 or -1), and keep them in one line if they were."""
        first, second = sorted((index, index + by))
        if first < 0 or second >= len(self.layers):
            return self
        upper, lower = self.layers[first], self.layers[second]
        later = list(self.layers[second + 1 :])
        if upper.name in lower.inputs:
            lower = _retake(lower, upper.name, _main_input(upper))
            upper = dataclasses.replace(upper, inputs=(lower.name, *upper.inputs[1:]))
            later = [_retake(layer, lower.name, upper.name) for layer in later]
        return Draft((*self.layers[:first], lower, upper, *later))

    def rename(self, index: int, name: str) -> Draft:
        """Call a layer otherwise, also where it is taken.

        Raises
        ------
        UserError
            CN-530 for a name that cannot be used, or that another layer has.
        """
        name, old = name.strip(), self.layers[index]
        if not re.fullmatch(NAME, name):
            raise refuse_graph(
                f"{name[:40]!r} is no name for a layer; use letters, digits, blanks, _ and -, "
                "beginning with a letter"
            )
        renamed = dataclasses.replace(old, name=name)
        others = {layer.key for layer in self.layers if layer is not old}
        if renamed.key in others or renamed.key == IMAGE:
            raise refuse_graph(f"another layer is called '{name}'")
        layers = [_retake(layer, old.name, name) for layer in self.layers]
        return self._replaced(layers, index, dataclasses.replace(layers[index], name=name))

    def set_settings(self, index: int, settings: LayerKind) -> Draft:
        """Give a layer other settings of its kind."""
        layer = dataclasses.replace(self.layers[index], settings=settings)
        return self._replaced(list(self.layers), index, layer)

    def set_inputs(self, index: int, inputs: tuple[str, ...]) -> Draft:
        """Let a layer take others."""
        layer = dataclasses.replace(self.layers[index], inputs=inputs)
        return self._replaced(list(self.layers), index, layer)

    @staticmethod
    def _replaced(layers: list[Layer], index: int, layer: Layer) -> Draft:
        return Draft((*layers[:index], layer, *layers[index + 1 :]))


@dataclass(frozen=True)
class DraftCheck:
    """What is known of a draft.

    Parameters
    ----------
    laid_out
        Layers in order with shapes and numbers of weights, as far as they fit.
    wrong
        Position of the first layer that is wrong; None if the draft is a network for the task.
    problem
        What is wrong with it, as a sentence.
    """

    laid_out: tuple[LaidOutLayer, ...]
    wrong: int | None
    problem: str

    @property
    def parameters(self) -> int:
        """Return the number of learnable numbers of the layers that fit."""
        return sum(entry.parameters for entry in self.laid_out)


def check_draft(draft: Draft, input_shape: Shape, n_classes: int, task: Task) -> DraftCheck:
    """Find the first layer that is wrong, and the shapes before it; no torch is needed.

    Parameters
    ----------
    input_shape
        ``(C, Y, X)``.
    n_classes
        Number of classes; to locate, 2: row and column.
    """
    layers = draft.layers
    begun, problem = _longest(len(layers), lambda n: _Unfinished(layers[:n]))
    if begun is None:
        return DraftCheck((), 0, problem)
    # As `GraphNetwork` does with images for maps.
    multiple = begun.multiple if begun.is_spatial else 1
    shape = (input_shape[0], *(-(-side // multiple) * multiple for side in input_shape[1:]))
    laid_out, misfit = _longest(
        len(begun.layers), lambda n: _Unfinished(layers[:n]).lay_out(shape, n_classes)
    )
    laid_out = laid_out or ()
    if len(laid_out) < len(layers):
        return DraftCheck(laid_out, len(laid_out), misfit or problem)
    used = {name for layer in layers for name in layer.inputs}
    for index, layer in enumerate(layers[:-1]):
        if layer.name not in used:
            return DraftCheck(
                laid_out,
                index,
                f"No later layer takes '{layer.name}'. Choose it as an input of one, or remove it.",
            )
    problem = _output_fault(laid_out[-1], shape, n_classes, task)
    return DraftCheck(laid_out, len(layers) - 1 if problem else None, problem)


class _Unfinished(LayerGraph):
    """A graph whose ends may be loose."""

    def _check_ends(self) -> None:
        pass


def _longest(length: int, make: Callable[[int], Made]) -> tuple[Made | None, str]:
    """Return what is made of as many layers as possible, and what is wrong with the next one."""
    good, bad, made, problem = 0, length + 1, None, ""
    tried = length
    while bad - good > 1:
        try:
            made, good = make(tried), tried
        except UserError as error:
            bad = tried
            problem = error.message.removeprefix("These layers make no network: ")
            problem = problem.removesuffix(" Nothing was changed.")
            problem = problem[0].upper() + problem[1:]
        tried = (good + bad) // 2
    return made, problem


def _output_fault(last: LaidOutLayer, image: Shape, n_classes: int, task: Task) -> str:
    """Say why the last layer's output is of no use for a task; empty if it is."""
    got = " x ".join(map(str, last.output_shape))
    name, of_classes = last.layer.name, "which means one for each class"
    if task == "segment":
        if last.output_shape == (n_classes, *image[1:]):
            return ""
        return (
            f"To segment {n_classes} classes, the last layer must give {n_classes} maps as large as the image, "
            f"{image[1]} x {image[2]}, but '{name}' gives {got}. End with a convolution with 0 filters, {of_classes}."
        )
    if task == "locate":
        if last.output_shape == (2,):
            return ""
        return f"To locate, the last layer must give 2 values, row and column, but '{name}' gives {got}."
    if last.output_shape == (n_classes,):
        return ""
    return (
        f"To classify {n_classes} classes, the last layer must give {n_classes} values, but '{name}' gives {got}. "
        f"End with a linear layer with 0 units, {of_classes}."
    )


def _main_input(layer: Layer) -> str:
    return layer.inputs[0] if layer.inputs else IMAGE


def _retake(layer: Layer, old: str, new: str) -> Layer:
    inputs = tuple(new if name == old else name for name in layer.inputs)
    return layer if inputs == layer.inputs else dataclasses.replace(layer, inputs=inputs)
