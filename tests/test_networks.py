"""Every network of the catalogue is what its entry says."""

import subprocess
import sys

import pytest
import torch

from napari_convnet.errors import UserError
from napari_convnet.networks import (
    NETWORKS,
    adapt_weights,
    build_network,
    count_parameters,
    freeze_all_but_head,
    network_entry,
    set_training_mode,
)

CLASSIFIERS = [entry.network_id for entry in NETWORKS.values() if entry.task == "classify"]


def output_of(network, inputs):
    with torch.inference_mode():
        return network.eval()(inputs)


#: Learnable parameters at 3 channels and 2 classes; torchvision's are its own counts with the head replaced.
PARAMETERS = {
    "convnet": 294_258,
    "resnet18": 11_689_512 - (512 * 1000 + 1000) + (512 * 2 + 2),
    "resnet34": 21_797_672 - (512 * 1000 + 1000) + (512 * 2 + 2),
    "resnet50": 25_557_032 - (2048 * 1000 + 1000) + (2048 * 2 + 2),
    "mobilenet_v2": 3_504_872 - (1280 * 1000 + 1000) + (1280 * 2 + 2),
    "squeezenet1_1": 1_235_496 - (512 * 1000 + 1000) + (512 * 2 + 2),
    "unet": 482_754,
}


@pytest.mark.parametrize("network_id", NETWORKS)
def test_parameter_counts(network_id):
    assert count_parameters(build_network(network_id, 3, 2)) == PARAMETERS[network_id]


@pytest.mark.parametrize("network_id", ["convnet", "mobilenet_v2", "squeezenet1_1", "resnet18"])
@pytest.mark.parametrize("channels", [1, 2, 5])
def test_any_number_of_channels_and_classes(network_id, channels):
    network = build_network(network_id, channels, 7, (64, 64))
    assert output_of(network, torch.zeros(2, channels, 64, 64)).shape == (2, 7)


@pytest.mark.parametrize("shape", [(1, 1), (7, 5), (33, 31), (64, 64), (65, 17)])
def test_unet_output_has_the_size_of_its_input(shape):
    network = build_network("unet", 2, 3)
    assert output_of(network, torch.zeros(1, 2, *shape)).shape == (1, 3, *shape)


def test_the_course_unet_has_its_size():
    assert count_parameters(build_network("unet", 1, 2, width=16, levels=4)) == pytest.approx(
        1_864_969, rel=0.05
    )


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_no_pixel_beyond_the_receptive_radius_matters(levels):
    torch.manual_seed(0)  # of few channels, some seeds leave every relu on the way shut
    network = build_network("unet", 1, 2, width=4, levels=levels)
    side = 2 * network.receptive_radius + 2 * network.multiple + 1
    image = torch.randn(1, 1, side, side, requires_grad=True)
    centre = side // 2
    network.eval()(image)[0, :, centre, centre].sum().backward()
    reached = image.grad[0, 0].abs().sum(0).nonzero().flatten()
    reach = max(centre - int(reached.min()), int(reached.max()) - centre)
    # An upper bound, and not a wasteful one: tiles are read with this margin.
    assert network.receptive_radius * 0.5 <= reach <= network.receptive_radius


def test_what_is_not_in_the_catalogue_is_refused():
    for action, code in (
        (lambda: network_entry("resnet1000"), "CN-502"),
        (lambda: network_entry("unet", "classify"), "CN-502"),
        (lambda: build_network("convnet", 3, 2, depth=3), "CN-503"),
        (lambda: build_network("convnet", 0, 2), "CN-504"),
        (lambda: build_network("resnet18", 3, 2, (16, 16)), "CN-505"),
        (lambda: build_network("convnet", 3, 2, width=10_000), "CN-501"),
    ):
        with pytest.raises(UserError) as caught:
            action()
        assert caught.value.code == code


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_pretrained_first_convolution_answers_alike_for_any_number_of_channels(channels):
    pretrained = build_network("resnet18", 3, 1000)
    network = build_network("resnet18", channels, 4)
    left = adapt_weights(network, pretrained.state_dict())
    assert set(left) == {"fc.weight", "fc.bias"}
    grey = torch.randn(2, 1, 64, 64)
    expected = pretrained.conv1(grey.expand(-1, 3, -1, -1))
    torch.testing.assert_close(
        network.conv1(grey.expand(-1, channels, -1, -1)), expected, rtol=1e-3, atol=1e-4
    )


def test_weights_of_another_network_are_refused_and_change_nothing():
    network = build_network("mobilenet_v2", 3, 2)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(UserError) as caught:
        adapt_weights(network, build_network("convnet", 3, 2).state_dict())
    assert caught.value.code == "CN-111"
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize("network_id", CLASSIFIERS)
def test_a_frozen_network_learns_with_its_head_alone_and_keeps_its_statistics(network_id):
    network = build_network(network_id, 3, 2)
    freeze_all_but_head(network, network_id)
    set_training_mode(network)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    learning = [p for p in network.parameters() if p.requires_grad]
    optimiser = torch.optim.SGD(learning, lr=0.1)
    torch.nn.functional.cross_entropy(
        network(torch.randn(4, 3, 64, 64)), torch.tensor([0, 1, 0, 1])
    ).backward()
    optimiser.step()
    changed = {
        name
        for name, tensor in network.state_dict().items()
        if not torch.equal(tensor, before[name])
    }
    assert changed
    assert all(tensor.numel() <= 2 * 2048 for name, tensor in before.items() if name in changed)


def test_no_network_is_downloaded_by_building_one():
    # torchvision's hub is made unusable: whatever tried to download would fail.
    code = (
        "import torch.hub; torch.hub.load_state_dict_from_url = None\n"
        "from napari_convnet.networks import NETWORKS, build_network\n"
        "[build_network(name, 3, 2) for name in NETWORKS]"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
