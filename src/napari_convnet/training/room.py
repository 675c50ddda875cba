"""Whether a training fits into the memory at all, said before it starts."""

from __future__ import annotations

import torch

from napari_convnet.errors import UserError
from napari_convnet.memory import available_memory
from napari_convnet.networks import build_network, freeze, network_entry
from napari_convnet.networks.table import network_table
from napari_convnet.samples.stacks import StackSet
from napari_convnet.training.objectives import output_count
from napari_convnet.training.recipe import Recipe
from napari_convnet.training.smaller import has_patches

_BYTES = 4


def check_room(recipe: Recipe, device: torch.device) -> None:
    """Refuse a network that is too big for the memory; nothing is taken of it for that.

    Where batches and patches may become smaller, only what one sample takes counts.

    Raises
    ------
    UserError
        CN-206 with both numbers.
    """
    free = available_memory(device)
    if free is None:
        return
    needed = least_memory(recipe)
    if needed <= free:
        return
    where = "the graphics card" if device.type == "cuda" else "this computer"
    settings = recipe.settings
    n = 1 if settings.reduce_batch_on_out_of_memory else settings.batch_size
    rows, columns = recipe.samples.input_size
    raise UserError(
        "CN-206",
        f"Training '{recipe.network}' on {rows} x {columns} pixels needs about {needed / 1e9:.1f} GB of memory with "
        f"{n} sample{'s' * (n != 1)} a step, and {where} has {free / 1e9:.1f} GB free. Nothing was started. Choose a "
        "smaller network or size, or train only its last layer.",
    )


def least_memory(recipe: Recipe) -> int:
    """Return about how many bytes a training takes at the least: as the network's table, and the best weights."""
    samples, settings = recipe.samples, recipe.settings
    if not settings.reduce_batch_on_out_of_memory:
        return _memory(recipe, samples.input_size, settings.batch_size)
    if has_patches(samples):
        side = min(samples.patch_size, network_entry(recipe.network).smallest_size)
        try:
            return _memory(recipe, (side, side), 1)
        except UserError:  # layers of a person's own that take no such patch
            pass
    return _memory(recipe, samples.input_size, 1)


def _memory(recipe: Recipe, size: tuple[int, int], batch_size: int) -> int:
    channels, settings = recipe.samples.in_channels, recipe.settings
    with torch.device("meta"):
        network = build_network(
            recipe.network, channels, output_count(recipe.samples), size, **recipe.network_settings
        )
    if settings.freeze_backbone:
        freeze(network, recipe.network, settings.unfreeze_last_blocks)
    depth = (recipe.samples.depth,) if isinstance(recipe.samples, StackSet) else ()
    table = network_table(network, (channels, *depth, *size))
    return table.memory_bytes(batch_size, settings.solver) + _BYTES * table.parameters
