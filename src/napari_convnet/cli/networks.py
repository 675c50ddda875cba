"""The command `networks`: the catalogue, or the table of one network."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from napari_convnet.cli.console import print_table
from napari_convnet.errors import UserError


def networks(
    network: Annotated[
        str, typer.Argument(help="Show the table of this network.", show_default="list them all")
    ] = "",
    channels: Annotated[int, typer.Option(min=1, help="Channels of the image.")] = 3,
    classes: Annotated[int, typer.Option(min=1, help="Number of classes.")] = 2,
    size: Annotated[
        int, typer.Option(min=0, help="Side of the image.", show_default="the network's own")
    ] = 0,
    preset: Annotated[str, typer.Option(help="Settings that have a name, such as 'course'.")] = "",
    batch_size: Annotated[int, typer.Option(min=0, help="Also time an epoch's steps.")] = 0,
    steps: Annotated[int, typer.Option(min=1, help="Steps of that epoch.")] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="For programs, with all facts.")] = False,
) -> None:
    """List the networks that can be trained, or show the layers of one."""
    if network:
        options = {"channels": channels, "classes": classes, "size": size}
        _show(network, options, preset, (batch_size, steps), as_json)
    else:
        _list(as_json)


def _list(as_json: bool) -> None:
    from napari_convnet.networks import NETWORKS

    rows = [
        {
            "network": entry.network_id,
            "task": entry.task,
            "other_tasks": entry.other_tasks,
            "title": entry.title,
            "parameters": entry.stated.parameters,
            "stated for": f"{entry.stated.channels} x {entry.stated.size} x {entry.stated.size}, "
            f"{entry.stated.classes} classes",
            "input_size": entry.input_size,
            "smallest_size": entry.smallest_size,
            "settings": _settings(entry.settings),
            "presets": {name: dict(values) for name, values in entry.presets.items()},
            "pretrained": entry.has_pretrained_weights,
            "library": entry.library,
            "purpose": entry.purpose,
            "source": entry.source,
        }
        for entry in NETWORKS.values()
    ]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    title = "Networks, with their number of weights as their source describes them"
    print_table(title, rows, ("network", "task", "parameters", "purpose"))


def _settings(settings: type) -> dict[str, Any]:
    """Return range, choices, help and default of every setting."""
    from napari_convnet.settings import field_options

    defaults = settings()
    return {
        name: {"default": getattr(defaults, name), **options}
        for name, options in field_options(settings).items()
    }


def _show(
    network_id: str, options: dict[str, int], preset: str, timed: tuple[int, int], as_json: bool
) -> None:
    from napari_convnet.networks import network_entry
    from napari_convnet.networks.table import describe_network

    entry = network_entry(network_id)
    if preset and preset not in entry.presets:
        known = ", ".join(entry.presets) or "none"
        raise UserError(
            "CN-503", f"Network '{network_id}' has no preset '{preset}'; it has {known}."
        )
    settings = dict(entry.presets[preset]) if preset else {}
    side = options["size"] or entry.input_size
    arguments = (network_id, options["channels"], options["classes"], (side, side))
    table = describe_network(*arguments, **settings)
    batch_size, steps = timed
    seconds = None
    if batch_size:
        from napari_convnet.devices import choose_device, use_all_cores
        from napari_convnet.networks import build_network
        from napari_convnet.networks.timing import estimate_epoch_seconds

        use_all_cores()
        device = choose_device("auto")
        seconds = estimate_epoch_seconds(
            build_network(*arguments, **settings), table.input_shape, batch_size, steps, device
        )
    if as_json:
        facts = {"network": network_id, **table.to_dict(), "diagram": table.diagram()}
        typer.echo(json.dumps({**facts, "epoch_seconds": seconds}, indent=2))
        return
    typer.echo(f"{entry.title}: {entry.purpose}\n{entry.source}\n")
    typer.echo(table.to_text())
    if seconds is not None:
        memory = table.memory_bytes(batch_size) / 1e6
        typer.echo(
            f"{steps} steps of {batch_size} images take about {seconds:.2g} s on {device.type} "
            f"and {memory:,.0f} MB."
        )
