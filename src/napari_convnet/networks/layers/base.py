"""What every kind of layer can tell of itself."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar, Self

from napari_convnet.settings import Checked

#: Of one sample: ``(C, Y, X)`` for maps, ``(F,)`` for vectors.
Shape = tuple[int, ...]


class DoesNotFit(ValueError):  # noqa: N818 - reads as what it says
    """A layer cannot take what it gets; the message continues a sentence that begins with its name."""


@dataclass(frozen=True)
class LayerKind(Checked):
    """Settings of one layer, checked when they are made; the class is the kind.

    Attributes
    ----------
    kind
        Its name in JSON.
    word
        Its name in automatic layer names, such as ``"conv"`` in ``"conv 1"``.
    n_inputs
        Fewest and most layers that it takes.
    """

    kind: ClassVar[str]
    word: ClassVar[str]
    n_inputs: ClassVar[tuple[int, int]] = (1, 1)

    def output_shape(self, *inputs: Shape) -> Shape:
        """Return the shape of the output for inputs of these shapes.

        Raises
        ------
        DoesNotFit
            If the layer cannot take them.
        """
        return inputs[0]

    def n_parameters(self, *inputs: Shape) -> int:
        """Return the number of learnable numbers for inputs of these shapes."""
        return 0

    @property
    def step(self) -> Fraction:
        """Return how many pixels of the input lie between two neighbours of the output."""
        return Fraction(1)

    def for_classes(self, n_classes: int) -> Self:
        """Return the settings with "one for each class" replaced by the number."""
        return self


def need_map(shape: Shape) -> None:
    """Refuse a vector where a map is needed."""
    if len(shape) != 3:
        raise DoesNotFit(f"needs maps (channels, rows, columns) but gets {shape[0]} single values")


def need_vector(shape: Shape) -> None:
    """Refuse maps where a vector is needed."""
    if len(shape) != 1:
        raise DoesNotFit(
            f"needs single values but gets maps of {size_text(shape)} pixels; "
            "put a flatten layer or a global average before it"
        )


def size_text(shape: Shape) -> str:
    """Write rows and columns of ``(C, Y, X)`` as people do: ``2 x 2``."""
    return f"{shape[1]} x {shape[2]}"


def window_sides(shape: Shape, extent: int, stride: int, pad: int, ceil: bool = False) -> Shape:
    """Return the sides that a sliding window leaves of ``(C, Y, X)``.

    With ``ceil`` a last window may hang over the end, as long as it begins on the image (as in torch).
    """
    need_map(shape)
    sides = []
    for side in shape[1:]:
        room = side + 2 * pad - extent
        if room < 0 and not (ceil and room > -stride):
            raise DoesNotFit(
                f"needs {extent - 2 * pad} x {extent - 2 * pad} pixels but gets {size_text(shape)}"
            )
        windows = (-(-room // stride) if ceil else room // stride) + 1
        if ceil and (windows - 1) * stride >= side + pad:
            windows -= 1
        sides.append(windows)
    return tuple(sides)
