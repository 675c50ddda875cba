"""Train the starter weights of the `unet`: what it knows before anyone has painted a stroke.

Run ``NAPARI_CONVNET_DATA=FOLDER OMP_NUM_THREADS=1 python starter_weights/make_starter_weights.py OUT``, where the
folder holds ``bbbc039`` and ``dsb2018`` as ``images`` and instance labels in ``masks``. Two files are written to the
folder ``OUT``: ``unet_without_dsb2018.safetensors``, to judge such weights on a set that they never saw, and, after
more steps that see dsb2018 as well, ``unet.safetensors`` with its README: the files that the package ships.
``--simulated`` needs nothing but this repository, and makes the second one only. The same seed and steps give the same
files on the same kind of processor (bfloat16 makes one that knows it half as fast again). Both are written every 250
steps, too, so that they can be tried before the end.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_avg_fn

sys.path.insert(0, str(Path(__file__).parent))

import patches
from card import make_card, write_readme
from patches import Batch, PatchDrawer
from pictures import Source, real, shapes, simulated

from napari_convnet.networks import build_network
from napari_convnet.networks.starter import STARTER_CARD

#: How often patches are cut from each kind of picture.
SHARES = {"simulated": 0.3, "shapes": 0.2, "real": 0.5}
_BATCH_SIZE, _LEARNING_RATE, _WEIGHT_DECAY, _DECAY, _WARM_UP = 8, 2e-3, 1e-4, 0.998, 100
_EVERY = 250
#: Weights of the losses beside that of the classes.
_BORDER, _DISTANCE, _FILTERS = 0.5, 0.5, 0.25


@dataclass(frozen=True, eq=False)
class Stage:
    """A part of the training: pictures, steps, and the file that comes out."""

    sources: Sequence[Source]
    steps: int
    out: Path


def make_stages(options: argparse.Namespace, data: str | None) -> list[Stage]:
    """Return the parts of the training; only one where there are no real images."""
    made = [*simulated(options.seed, options.pictures), *shapes(options.seed, options.pictures)]
    last = options.out / "unet.safetensors"
    if options.simulated:
        return [Stage(made, options.steps, last)]
    if not data:
        raise SystemExit("Set NAPARI_CONVNET_DATA to the folder with bbbc039 and dsb2018.")
    first = [*made, *real(Path(data), ("bbbc039",))]
    both = [*first, *real(Path(data), ("dsb2018/fluo", "dsb2018/colour"))]
    return [
        Stage(first, options.steps, options.out / "unet_without_dsb2018.safetensors"),
        Stage(both, options.more_steps, last),
    ]


def loss_of(outputs: Tensor, batch: Batch) -> Tensor:
    """Return the sum of the losses of classes, borders, distances and filters."""
    known = batch.objects >= 0
    classes = F.cross_entropy(outputs[:, : patches.N_CLASSES], batch.objects, ignore_index=-1)
    near = (batch.distance.abs() < 1.5).float()
    border = F.binary_cross_entropy_with_logits(outputs[:, patches.BORDER], near, reduction="none")
    distance = (outputs[:, patches.DISTANCE] - 2 * torch.tanh(batch.distance / 6)).abs()
    filters = F.smooth_l1_loss(outputs[:, patches.FILTERS :], batch.filters)
    beside = _BORDER * border[known].mean() + _DISTANCE * distance[known].mean()
    return classes + beside + _FILTERS * filters


class Trainer:
    """The network, its optimiser, and the mean of its last states."""

    def __init__(self, seed: int) -> None:
        torch.manual_seed(seed)
        network = build_network("unet", 1, patches.N_OUTPUTS, (patches.SIDE, patches.SIDE))
        self._seed, self.step = seed, 0
        self._network = network.to(memory_format=torch.channels_last).train()
        self._averaged = AveragedModel(network, avg_fn=get_ema_avg_fn(_DECAY), use_buffers=True)
        self._optimiser = torch.optim.AdamW(
            network.parameters(), _LEARNING_RATE, weight_decay=_WEIGHT_DECAY
        )

    def train(self, stage: Stage) -> Iterator[nn.Module]:
        """Yield the mean of the last states from time to time and at the end; progress is printed."""
        kinds = {kind: sum(s.kind == kind for s in stage.sources) for kind in SHARES}
        chances = [(source, SHARES[source.kind] / kinds[source.kind]) for source in stage.sources]
        drawer = PatchDrawer(chances, self._seed + self.step)
        began, recent = time.monotonic(), []
        for step in range(1, stage.steps + 1):
            recent.append(self._take(drawer.draw(_BATCH_SIZE), _learning_rate(step, stage.steps)))
            if step % _EVERY == 0 or step == stage.steps:
                mean, seconds = sum(recent) / len(recent), time.monotonic() - began
                print(f"step {self.step:6} loss {mean:.4f} {seconds:6.0f} s", flush=True)
                recent = []
                yield self._averaged.module

    def _take(self, batch: Batch, rate: float) -> float:
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        self._optimiser.zero_grad()
        inputs = batch.inputs.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            outputs = self._network(inputs)
        loss = loss_of(outputs.float(), batch)
        loss.backward()
        nn.utils.clip_grad_norm_(self._network.parameters(), 5.0)
        self._optimiser.step()
        self._averaged.update_parameters(self._network)
        self.step += 1
        return loss.item()


def _learning_rate(step: int, n_steps: int) -> float:
    """Return the rate of a step: it grows, stays, and falls along half a cosine over the last half."""
    late = max(0.0, 2 * step / n_steps - 1)
    return _LEARNING_RATE * min(1, step / _WARM_UP) * (1 + math.cos(math.pi * late)) / 2


def save(network: nn.Module, card: dict, path: Path) -> None:
    """Write the weights in half precision, of the head only the two classes, with the card in the header."""
    tensors = {}
    for name, tensor in network.state_dict().items():
        if name.startswith("head."):
            name, tensor = f"starter_{name}", tensor[: patches.N_CLASSES]
        kept = tensor.half() if tensor.is_floating_point() else tensor
        tensors[name] = kept.contiguous().clone()
    save_file(tensors, path, metadata={STARTER_CARD: json.dumps(card, indent=1)})


def main() -> None:
    """Train and write the files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="folder to write to")
    parser.add_argument("--steps", type=int, default=4000, help="without dsb2018")
    parser.add_argument("--more-steps", type=int, default=2500, help="after them, with dsb2018")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--pictures", type=int, default=12, help="simulated, and as many drawn shapes"
    )
    parser.add_argument("--simulated", action="store_true", help="no real images")
    options = parser.parse_args()
    torch.set_num_threads(1)  # another number of threads gives other bits
    options.out.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(options.seed)
    for stage in make_stages(options, os.environ.get("NAPARI_CONVNET_DATA")):
        for network in trainer.train(stage):
            card = make_card(
                stage.sources, steps=trainer.step, batch_size=_BATCH_SIZE,
                patch_size=patches.SIDE, seed=options.seed,
            )  # fmt: skip
            save(network, card, stage.out)
    write_readme(card, stage.out)


if __name__ == "__main__":
    main()
