"""What a file of starter weights tells of itself: the card in its header, and the README beside it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from pictures import Source, kept_out

from napari_convnet import __version__

_LICENCES = {
    "simulated": "made by this repository's scripts",
    "bbbc039": "CC0 1.0 (BBBC039v1, Caicedo et al. 2019, https://doi.org/10.1002/cyto.a.23863)",
    "dsb2018": "CC0 1.0 (BBBC038v1, Caicedo et al. 2019, https://doi.org/10.1038/s41592-019-0612-7)",
}


def make_card(sources: Sequence[Source], **facts: Any) -> dict[str, Any]:
    """Return the card: what was seen, under which licences, what was kept out, and ``facts`` of the training."""
    files = [source.name for source in sources if source.kind == "real"]
    sets = sorted({name.split("/")[0] for name in files})
    return {
        "network": "unet",
        "in_channels": 1,
        "outputs": ["background", "object"],
        "normalisation": "percentiles",
        **facts,
        "simulated": [source.name for source in sources if source.kind != "real"],
        "files": files,
        "licences": {name: _LICENCES[name] for name in ("simulated", *sets)},
        "never_seen": sorted(kept_out()),
        "licence": "CC0 1.0",
        "made_by": "starter_weights/make_starter_weights.py",
        "versions": {"napari-convnet": __version__, "torch": torch.__version__},
    }


def write_readme(card: dict[str, Any], weights: Path) -> None:
    """Write what the card says, in words, to ``README.md`` beside the weights."""
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    licences = "\n".join(f"- {name}: {licence}" for name, licence in card["licences"].items())
    versions = ", ".join(f"{name} {version}" for name, version in card["versions"].items())
    text = f"""# Starter weights of the UNet

`{weights.name}` holds what the network `unet` of this package begins with, unless random weights are chosen: an
encoder and a decoder that know borders, blobs and textures, and a last layer that tells objects from background. It
fits images of any number of channels, normalised by percentiles, and any number of classes. The card in the file's
header holds what stands here. SHA-256 of the file: `{digest}`.

**Licence:** [CC0 1.0](https://creativecommons.org/publicdomain/zero/1.0/): use it for anything.

It was made by `{card["made_by"]}` of the repository: {card["steps"]:,} steps of {card["batch_size"]} patches of
{card["patch_size"]} x {card["patch_size"]} pixels, seed {card["seed"]}; {versions}.
The patches are turned, magnified, inverted, blurred, dimmed and made noisy, or painted anew with random textures; the
network learned objects, their borders, distances from them, and the filters that pixel classifiers are fed with.

## What it saw

{licences}

{len(card["simulated"])} pictures without a microscope: {_list(card["simulated"])}.

{len(card["files"])} images: {_list(card["files"], is_code=True)}.

## What was kept out of it

Every other set of images, and these {len(card["never_seen"])}, which benchmarks paint and score:
{_list(card["never_seen"], is_code=True)}.
"""
    weights.with_name("README.md").write_text(text, encoding="utf-8")


def _list(names: Sequence[str], is_code: bool = False) -> str:
    """Return names in a row; of files only the last part, after the folder that several are in."""
    if not is_code:
        return "; ".join(names)
    folders: dict[str, list[str]] = {}
    for name in names:
        folder, _, file = name.rpartition("/")
        folders.setdefault(folder, []).append(f"`{file}`")
    return "; ".join(f"of `{folder}` {', '.join(files)}" for folder, files in folders.items())
