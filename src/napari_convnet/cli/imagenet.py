"""`predict imagenet:NAME`: what ImageNet's networks call an image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from napari_convnet.cli.console import print_table, say
from napari_convnet.cli.inputs import read_aloud
from napari_convnet.cli.starting import read_imagenet
from napari_convnet.devices import choose_device
from napari_convnet.errors import UserError
from napari_convnet.exchange.result_files import make_folder, write_table
from napari_convnet.folders import list_inputs
from napari_convnet.model_file import read_weights
from napari_convnet.prediction import load_imagenet_network, name_image


def name_files(
    network_id: str,
    inputs: Sequence[Path],
    output: Path | None,
    weights: Path | None,
    device: str,
) -> None:
    """Print the five most probable names of each image, and write them into a folder if there is one."""
    choose_device(device)
    files = list_inputs(inputs, output or Path("names"))
    if output is not None:
        make_folder(output)
    given = read_imagenet(network_id) if weights is None else read_weights(weights)
    classifier = load_imagenet_network(network_id, given)
    rows: list[tuple[str, ...]] = []
    failed = 0
    for path in files:
        try:
            named = name_image(classifier, read_aloud(path), device=device)
        except UserError as error:
            say(f"{path}: {error.code} {error.message}", "red")
            failed += 1
            continue
        table = [{"name": name, "probability": chance} for name, chance in named]
        print_table(str(path), table, ("name", "probability"))
        rows += [
            (str(path), str(place), name, f"{chance:.6f}")
            for place, (name, chance) in enumerate(named, start=1)
        ]
    if output is not None and rows:
        write_table(output / "names.csv", ("file", "place", "name", "probability"), rows)
    if failed:
        raise SystemExit(1)
