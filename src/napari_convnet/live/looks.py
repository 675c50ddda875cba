"""What a live training shows of the part in view: when it is predicted anew, by which network, and how right it was."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from torch import nn

from napari_convnet.errors import UserError
from napari_convnet.images import Normalisation
from napari_convnet.instant import PaintedPart
from napari_convnet.live.crops import OpenPlane
from napari_convnet.live.events import InView, LivePart, LiveSource, LiveStrokes, Looked
from napari_convnet.live.looking import (
    agreement,
    classes_at,
    count_right,
    look_at,
    tiles_in_view,
)
from napari_convnet.live.network import LiveNetwork
from napari_convnet.progress import Progress
from napari_convnet.training.clock import Clock

#: Seconds between two looks at least, and as a multiple of how long a look takes.
_LOOK_SECONDS, _LOOK_SHARE = 2.0, 2.0
#: A prediction is shown from this agreement with the strokes on, or after so many seconds in any case.
_GOOD, _PATIENCE_SECONDS = 0.8, 8.0
#: One that agrees less than the one that is shown, by this much, is not shown.
_SLACK = 0.05


class Looks:
    """The newest good network, and what it says of the part in view.

    Parameters
    ----------
    source
        Says what is in view.
    n_channels, normalisation
        Of the images; those with other channels are not predicted.
    device
        Where networks compute.
    clock
        Of the training; it stands still in pauses.
    """

    def __init__(
        self,
        source: LiveSource,
        n_channels: int,
        normalisation: Normalisation,
        device: torch.device,
        clock: Clock,
    ) -> None:
        self._source, self._n_channels, self._normalisation = source, n_channels, normalisation
        self._device, self._clock = device, clock
        self._plane: tuple[Hashable, OpenPlane] | None = None
        self._view: InView | None = None
        self._shown: nn.Module | None = None
        self._shown_agreement, self._n_known, self._step = 0.0, 0, 0
        self._looked_at, self._took, self._news_at = clock.seconds, 0.0, clock.seconds

    def expect_news(self) -> None:
        """Hear that strokes have joined: what is shown knows nothing of them."""
        self._shown_agreement, self._news_at = 0.0, self._clock.seconds

    def forget(self) -> None:
        """Let go of the network that is shown: its class values mean something else now."""
        self._shown = None

    def is_due(self, network: LiveNetwork) -> bool:
        """Return whether what is in view should be predicted now."""
        view = self._source.view
        if view is None or network.step == 0:
            return False
        is_elsewhere = view is not self._view
        if is_elsewhere and self._shown is not None:
            return True  # looking elsewhere waits for nothing
        wait = max(_LOOK_SECONDS, _LOOK_SHARE * self._took)
        is_news = is_elsewhere or network.step != self._step
        return is_news and self._clock.seconds - self._looked_at >= wait

    def look(
        self,
        network: LiveNetwork,
        where: Callable[[str], dict[str, Any]],
        stop: threading.Event,
    ) -> Iterator[Progress]:
        """Predict what is in view, if the network is worth it; ``where`` tells what every event tells."""
        began, view = self._clock.seconds, self._source.view
        if view is None:
            return
        self._step = network.step
        agreed = agreement(network.averaged, network.samples, self._device)
        if self._is_good(agreed):
            self._shown, self._shown_agreement = network.snapshot(), agreed
            self._n_known = len(network.samples.classes)
        elif self._shown is None or view is self._view:
            self._looked_at, self._took = self._clock.seconds, 0.0
            return
        with suppress(UserError):  # what cannot be read is not predicted; its layer says so itself
            yield from self._predict(view, where, stop)
        self._view, self._looked_at = view, self._clock.seconds
        self._took = self._clock.seconds - began
        yield Looked(**where("learning"), agreement=agreed)

    def _is_good(self, agreed: float) -> bool:
        is_late = self._clock.seconds - self._news_at > _PATIENCE_SECONDS
        return math.isfinite(agreed) and (
            agreed >= max(_GOOD, self._shown_agreement - _SLACK)
            or (is_late and not self._shown_agreement)
        )

    def _predict(
        self, view: InView, where: Callable[[str], dict[str, Any]], stop: threading.Event
    ) -> Iterator[Progress]:
        if self._plane is None or self._plane[0] != view.key:
            self._plane = (view.key, OpenPlane(view.open(), self._normalisation))
        plane = self._plane[1]
        if plane.image.n_channels != self._n_channels:
            return
        for tile in tiles_in_view(plane.shape, view.window, self._shown):
            if stop.is_set() or self._source.view is not view:
                return
            classes, uncertainty = look_at(self._shown, plane, tile, self._device)
            rows, columns = tile.write
            yield LivePart(
                **where("looking"), key=view.key, origin=(rows.start, columns.start),
                classes=classes, uncertainty=uncertainty,
            )  # fmt: skip

    def count_right(
        self, new: Sequence[PaintedPart], strokes: LiveStrokes
    ) -> tuple[tuple[int, int], ...]:
        """Count new pixels of each class that the network knows that is shown, and those that it has right."""
        if self._shown is None or not new:
            return ()
        found, painted = [np.empty(0, np.uint8)], [np.empty(0, np.uint8)]
        opened = dict([] if self._plane is None else [self._plane])
        for part in new:
            values = part.labels[part.labels > 0]
            with suppress(UserError):  # what cannot be read any more is not scored
                if part.image not in opened:
                    plane = OpenPlane(strokes.images[part.image](), self._normalisation)
                    opened = {part.image: plane}  # one at a time
                said = classes_at(self._shown, opened[part.image], part, self._device)
                found.append(said[values <= self._n_known])
                painted.append(values[values <= self._n_known])
        return count_right(found, painted, len(strokes.classes))
