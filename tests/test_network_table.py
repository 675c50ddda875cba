"""The table says what torch itself would say of a network, and no memory is needed to say it."""

import json
import subprocess
import sys
from math import prod

import pytest
import torch
from typer.testing import CliRunner

from napari_convnet.cli.app import app
from napari_convnet.networks import NETWORKS, build_network, freeze
from napari_convnet.networks.table import describe_network, network_table
from napari_convnet.networks.timing import estimate_epoch_seconds

AVAILABLE = [entry for entry in NETWORKS.values() if entry.is_available]


def rows_of(table):
    return {row.name: row for row in table.rows}


@pytest.mark.parametrize("entry", AVAILABLE, ids=lambda entry: entry.network_id)
def test_the_rows_add_up_to_the_network(entry):
    side = max(entry.smallest_size, 32)
    table = describe_network(entry.network_id, 3, 5, (side, side))
    with torch.device("meta"):
        network = build_network(entry.network_id, 3, 5, (side, side)).eval()
    assert sum(row.parameters for row in table.rows) == table.parameters
    assert sum(row.learning for row in table.rows) == table.learning
    output = network(torch.zeros(1, 3, side, side, device="meta"))
    flops = _flops_by_torch(network, side)
    assert table.rows[-1].output_shape[0] == output.shape[1]
    assert 2 * table.multiply_adds == flops
    text, diagram = table.to_text(), table.diagram()
    assert f"{table.parameters:,} weights" in text
    assert len(diagram["nodes"]) == len(table.rows) + 1
    targets = {target for _, target in diagram["edges"]}
    assert targets == set(range(1, len(diagram["nodes"])))
    assert all(source < target for source, target in diagram["edges"])
    assert json.loads(json.dumps(table.to_dict()))["parameters"] == table.parameters


def _flops_by_torch(network, side):
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 3, side, side, device="meta"))
    return counter.get_total_flops()


def test_a_row_has_every_fact():
    rows = rows_of(describe_network("rbc_convnet", 3, 2, (50, 50)))
    conv, pool, linear = rows["conv 2"], rows["max pool 1"], rows["linear 1"]
    assert (conv.kind, conv.window, conv.output_shape) == ("convolution", (3, 3), (64, 22, 22))
    assert (conv.parameters, conv.learning) == (18_496, 18_496)
    assert conv.multiply_adds == 64 * 22 * 22 * 32 * 9
    assert (conv.receptive_field, conv.jump) == (8, 2)
    assert (pool.receptive_field, pool.window) == (4, (2, 2))
    assert (linear.receptive_field, linear.parameters) == (None, 131_328)


def test_frozen_layers_are_marked_and_keep_nothing_for_the_way_back():
    with torch.device("meta"):
        network = build_network("resnet18", 3, 2)
    whole = network_table(network, (3, 96, 96))
    freeze(network, "resnet18")
    frozen = network_table(network, (3, 96, 96))
    assert frozen.learning == 1026
    assert "9,408 frozen" in frozen.to_text()
    assert frozen.activations < whole.activations / 100
    assert frozen.memory_bytes(16) < whole.memory_bytes(16) / 2


def test_branches_are_found_however_a_network_is_written():
    table = describe_network("resnet18", 3, 2, (64, 64))
    added = rows_of(table)["layer2.0 add"]
    assert [table.rows[k].name for k in added.inputs] == ["layer2.0.bn2", "layer2.0.downsample.1"]
    own = describe_network("cifar_resnet", 3, 2, (32, 32))
    added = rows_of(own)["add 4"]
    assert [own.rows[k].name for k in added.inputs] == ["batch norm 9", "batch norm 10"]
    unet = describe_network("unet", 3, 2, (64, 64))
    joined = [row for row in unet.rows if row.kind == "concatenate"]
    assert len(joined) == 3
    assert all(len(row.inputs) == 2 for row in joined)


@pytest.mark.parametrize(
    ("network_id", "side"),
    [
        ("convnet", 64), ("unet", 64), ("cifar_resnet", 32), ("resnet18", 64),
        ("mobilenet_v2", 64), ("segnet", 64), ("vgg16_frozen", 64),
    ],
)  # fmt: skip
def test_what_is_kept_for_the_way_back_is_what_torch_keeps(network_id, side):
    # Dropout keeps its mask, too, which is not there when nothing is learnt.
    settings = {"dropout": 0.0} if network_id in ("convnet", "vgg16_frozen") else {}
    network = build_network(network_id, 3, 2, (side, side), **settings).train()
    table = network_table(network, (3, side, side))
    own = {t.untyped_storage().data_ptr() for t in (*network.parameters(), *network.buffers())}
    kept = {}

    def note(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes(), tensor
        return tensor

    images = torch.randn(4, 3, side, side)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        output = network(images)
    real = sum(nbytes for nbytes, _ in kept.values()) / 4 / 4
    image = prod(table.input_shape) if network_id != "vgg16_frozen" else 0
    assert output.requires_grad
    assert table.activations + image == pytest.approx(real, rel=0.06)


def test_a_network_is_left_as_it_is():
    network = build_network("convnet", 3, 2).train()
    network.features[1].eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    modes = [module.training for module in network.modules()]
    random = torch.get_rng_state()
    network_table(network, (3, 64, 64))
    seconds = estimate_epoch_seconds(network, (3, 32, 32), 4, 10)
    assert seconds > 0
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert [module.training for module in network.modules()] == modes
    assert torch.equal(torch.get_rng_state(), random)
    assert not any(module._forward_hooks for module in network.modules())


def test_the_estimate_grows_with_the_steps_and_works_for_what_does_not_learn():
    network = build_network("keras_mnist", 1, 10).requires_grad_(False)
    assert estimate_epoch_seconds(network, (1, 28, 28), 2, 3, batches=1) > 0


def test_the_largest_network_is_laid_out_without_its_memory():
    # vgg19 has 575 MB of weights; the process may take less than that on top of what torch needs.
    code = (
        "import resource, torch, torchvision\n"
        "from napari_convnet.networks.table import describe_network\n"
        "describe_network('mlp', 3, 2)\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "table = describe_network('vgg19', 3, 1000, (224, 224))\n"
        "assert table.parameters == 143_667_240\n"
        "grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before\n"
        "assert grown < 50_000, grown\n"
    )
    pytest.importorskip("resource", reason="memory is measured by POSIX means")
    ended = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr


# On the command line


def command(*arguments):
    return CliRunner().invoke(app, ["networks", *map(str, arguments)])


def test_the_command_shows_the_table_of_one_network():
    shown = command("resnet18", "--channels", 4, "--classes", 3, "--size", 96)
    assert shown.exit_code == 0
    assert "https://doi.org/10.1109/CVPR.2016.90" in shown.stdout
    assert "Image 4 x 96 x 96: 11,181,187 weights" in shown.stdout
    facts = json.loads(command("unet", "--preset", "course", "--channels", 1, "--json").stdout)
    assert facts["parameters"] == pytest.approx(1_864_969, rel=0.05)
    assert facts["diagram"]["nodes"][0]["shape"] == [1, 64, 64]
    assert facts["rows"][-1]["output_shape"] == [2, 64, 64]


def test_the_command_times_an_epoch():
    shown = command("keras_mnist", "--channels", 1, "--batch-size", 2, "--steps", 5)
    assert "5 steps of 2 images take about" in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("mnist_convnet", "--size", 16), "at least 18 x 18 pixels; got 16 x 16"),
        (("resnet1000",), "not in the catalogue"),
        (("unet", "--preset", "huge"), "no preset 'huge'; it has course"),
    ],
)
def test_the_command_refuses_in_words(arguments, words):
    shown = command(*arguments)
    assert shown.exit_code == 1
    assert words in " ".join(shown.stderr.split())


def test_the_list_has_source_settings_and_ranges_of_every_network():
    listed = {entry["network"]: entry for entry in json.loads(command("--json").stdout)}
    assert list(listed) == list(NETWORKS)
    assert listed["convnet"]["settings"]["width"]["max"] == 128
    assert listed["unet"]["presets"] == {"course": {"width": 16, "levels": 4}}
    assert listed["position_convnet"]["task"] == "locate"
