"""Every network of the catalogue is what its entry says, and can be fine-tuned."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from napari_convnet.errors import UserError
from napari_convnet.networks import (
    NETWORKS,
    adapt_weights,
    backbone_blocks,
    build_imagenet_classifier,
    build_network,
    count_parameters,
    freeze,
    freeze_all_but_head,
    imagenet_classes,
    network_entry,
    networks_for,
    parameter_groups,
    set_training_mode,
)
from napari_convnet.networks.imagenet import name_best
from napari_convnet.networks.network_settings import UNet3dSettings
from napari_convnet.networks.unet3d import UNet3d

AVAILABLE = [entry for entry in NETWORKS.values() if entry.is_available]
CLASSIFIERS = [entry.network_id for entry in AVAILABLE if entry.task == "classify"]
SEGMENTERS = [entry.network_id for entry in AVAILABLE if entry.task == "segment"]
#: Networks that fit into a test's memory and seconds.
LIGHT = {entry.network_id for entry in AVAILABLE if entry.stated.parameters < 13_000_000}


def refusal(action, code):
    with pytest.raises(UserError) as caught:
        action()
    assert caught.value.code == code
    assert len(caught.value.message) <= 300
    return caught.value.message


def output_of(network, inputs):
    with torch.inference_mode():
        return network.eval()(inputs)


def laid_out(network_id, *arguments, **settings):
    with torch.device("meta"):
        return build_network(network_id, *arguments, **settings)


# What the entries say


@pytest.mark.parametrize("entry", AVAILABLE, ids=lambda entry: entry.network_id)
def test_a_network_has_as_many_weights_as_its_source_states(entry):
    stated = entry.stated
    network = laid_out(
        entry.network_id, stated.channels, stated.classes, (stated.size, stated.size)
    )
    assert count_parameters(network) == stated.parameters


#: The table of ../shared/design/NETWORKS.md, where it says something else than an entry.
VARIANTS = [
    ("rbc_convnet", 3, 2, 85, {"dropout": 0.5}, 1_453_761),
    ("cifar_convnet", 3, 10, 32, {"batch_norm": True}, 117_162),
    ("perceptron", 1, 2, 28, {}, 785),
]


@pytest.mark.parametrize(
    ("network_id", "channels", "classes", "side", "settings", "count"), VARIANTS
)
def test_the_variants_of_the_documents_have_their_sizes(
    network_id, channels, classes, side, settings, count
):
    network = laid_out(network_id, channels, classes, (side, side), **settings)
    assert count_parameters(network) == count


def test_only_the_head_of_the_frozen_vgg_learns_and_batch_norm_statistics_are_counted_apart():
    network = laid_out("vgg16_frozen", 3, 2, (85, 85))
    assert count_parameters(network, learning_only=True) == 1_213_441
    malaria = laid_out("malaria_convnet", 3, 2, (64, 64))
    statistics = sum(b.numel() for n, b in malaria.named_buffers() if "running" in n)
    assert count_parameters(malaria) + statistics == 4_340_130


def test_the_course_unet_has_its_size():
    course = NETWORKS["unet"].presets["course"]
    assert count_parameters(laid_out("unet", 1, 2, **course)) == pytest.approx(1_864_969, rel=0.05)


@pytest.mark.parametrize("entry", AVAILABLE, ids=lambda entry: entry.network_id)
def test_the_smallest_size_is_accepted_and_a_smaller_one_refused(entry):
    side = entry.smallest_size
    network = laid_out(entry.network_id, 3, 2, (side, side)).eval()
    assert len(network(torch.zeros(2, 3, side, side, device="meta"))) == 2
    if side > 1:
        message = refusal(lambda: laid_out(entry.network_id, 3, 2, (side - 1, side)), "CN-505")
        assert f"{side} x {side} pixels; got {side - 1} x {side}" in message


@pytest.mark.parametrize("entry", AVAILABLE, ids=lambda entry: entry.network_id)
def test_every_entry_is_complete_and_its_presets_can_be_built(entry):
    assert entry.title
    assert entry.purpose.endswith(".")
    assert entry.source == "you" or "https://" in entry.source or "course" in entry.source
    assert entry.smallest_size <= entry.input_size
    for preset in entry.presets.values():
        laid_out(entry.network_id, 3, 2, **preset)


@pytest.mark.parametrize("network_id", sorted(LIGHT & set(CLASSIFIERS)))
@pytest.mark.parametrize(("channels", "classes"), [(1, 2), (2, 7), (5, 3)])
def test_any_number_of_channels_and_classes(network_id, channels, classes):
    network = build_network(network_id, channels, classes, (64, 64))
    assert output_of(network, torch.zeros(2, channels, 64, 64)).shape == (2, classes)


@pytest.mark.parametrize("network_id", SEGMENTERS)
@pytest.mark.parametrize("shape", [(1, 1), (7, 5), (33, 31), (65, 17)])
def test_the_output_of_a_segmenting_network_has_the_size_of_its_input(network_id, shape):
    network = build_network(network_id, 2, 3)
    assert output_of(network, torch.zeros(1, 2, *shape)).shape == (1, 3, *shape)


def test_a_network_that_locates_gives_row_and_column():
    network = build_network("position_convnet", 1, 1, (24, 32))
    assert output_of(network, torch.zeros(3, 1, 24, 32)).shape == (3, 2)


def test_the_position_network_learns_where_a_spot_is():
    generator = torch.Generator().manual_seed(0)
    grid = torch.stack(torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build_network("position_convnet", 1, 1, (16, 16))
    optimiser = torch.optim.AdamW(network.parameters(), 2e-3)
    for _ in range(150):
        places = 4 + 8 * torch.rand((32, 2), generator=generator)
        images = (-((grid - places[:, :, None, None]) ** 2).sum(1, keepdim=True) / 8).exp()
        loss = torch.nn.functional.mse_loss(network(images), places)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.sqrt() < 1.0


@pytest.mark.parametrize(
    ("network_id", "settings"),
    [
        ("unet", {"width": 4, "levels": 1}),
        ("unet", {"width": 4, "levels": 2}),
        ("unet", {"width": 4, "levels": 3}),
        ("segnet", {"width": 8, "levels": 2}),
        ("segnet", {"width": 8, "levels": 3}),
        ("patch_segmenter", {"width": 4}),
    ],
)
def test_no_pixel_beyond_the_receptive_radius_matters(network_id, settings):
    torch.manual_seed(0)  # of few channels, some seeds leave every relu on the way shut
    network = build_network(network_id, 1, 2, **settings)
    side = 2 * network.receptive_radius + 2 * network.multiple + 1
    image = torch.randn(1, 1, side, side, requires_grad=True)
    centre = side // 2
    network.eval()(image)[0, :, centre, centre].sum().backward()
    reached = image.grad[0, 0].abs().sum(0).nonzero().flatten()
    reach = max(centre - int(reached.min()), int(reached.max()) - centre)
    # An upper bound, and not a wasteful one: tiles are read with this margin.
    assert network.receptive_radius * 0.4 <= reach <= network.receptive_radius


def test_what_is_not_in_the_catalogue_is_refused():
    refusal(lambda: network_entry("resnet1000"), "CN-502")
    refusal(lambda: network_entry("unet", "classify"), "CN-502")
    refusal(lambda: network_entry("position_convnet", "classify"), "CN-502")
    refusal(lambda: build_network("convnet", 3, 2, depth=3), "CN-503")
    refusal(lambda: build_network("convnet", 0, 2), "CN-504")
    refusal(lambda: build_network("resnet18", 3, 2, (16, 16)), "CN-505")
    refusal(lambda: build_network("convnet", 3, 2, width=10_000), "CN-501")
    message = refusal(lambda: network_entry("convnet", "segment"), "CN-502")
    assert (
        "Choose one of custom, unet, unet_pretrained, unet3d, segnet, patch_segmenter." in message
    )


def test_every_task_begins_with_the_network_that_is_its_default():
    assert networks_for("classify")[0].network_id == "convnet"
    assert next(e for e in networks_for("segment") if e.task == "segment").network_id == "unet"
    assert {e.network_id for e in networks_for("locate")} == {"custom", "position_convnet"}
    assert "position_convnet" not in {e.network_id for e in networks_for("classify")}


# Three dimensions


@pytest.mark.parametrize("shape", [(1, 8, 8), (5, 17, 9), (8, 16, 16)])
def test_the_3d_unet_keeps_the_size_of_a_stack_and_learns(shape):
    network = UNet3d(2, 3, UNet3dSettings(width=4, levels=2))
    output = network(torch.randn(2, 2, *shape))
    assert output.shape == (2, 3, *shape)
    output.square().mean().backward()
    assert all(p.grad is not None for p in network.parameters())


def test_the_first_levels_of_the_3d_unet_see_each_plane_alone():
    network = UNet3d(1, 2, UNet3dSettings(width=4, levels=2, halve_depth_from=2)).eval()
    stack = torch.randn(1, 1, 4, 8, 8)
    assert network.halvings == [(1, 2, 2), (1, 2, 2)]
    assert network.encoder[0][0].kernel_size == (1, 3, 3)
    assert network.encoder[2][0].kernel_size == (3, 3, 3)
    flat = UNet3d(1, 2, UNet3dSettings(width=4, levels=2, halve_depth_from=3)).eval()
    with torch.inference_mode():
        whole, alone = flat(stack), flat(stack[:, :, 1:2])
    torch.testing.assert_close(whole[:, :, 1:2], alone)


# Pretrained weights


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
    refusal(lambda: adapt_weights(network, build_network("convnet", 3, 2).state_dict()), "CN-111")
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_the_frozen_vgg_takes_the_weights_of_the_whole_one():
    network = build_network("vgg16_frozen", 1, 2, (32, 32))
    given = {n: torch.ones_like(t) for n, t in network.state_dict().items() if "features" in n}
    given["features.0.weight"] = torch.ones(64, 3, 3, 3)
    left = adapt_weights(network, given)
    assert all(name.startswith("head.") for name in left)
    assert torch.equal(network.features[0].weight, torch.full((64, 1, 3, 3), 3.0))
    assert not network.features[0].weight.requires_grad


def test_no_network_is_downloaded_by_building_one():
    # torchvision's hub is made unusable: whatever tried to download would fail.
    code = (
        "import torch, torch.hub; torch.hub.load_state_dict_from_url = None\n"
        "from napari_convnet.networks import NETWORKS, build_network\n"
        "with torch.device('meta'):\n"
        "    [build_network(n, 3, 2) for n, e in NETWORKS.items() if e.is_available]"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_library_that_is_missing_is_named_with_how_to_install_it():
    if NETWORKS["unet_pretrained"].is_available:
        pytest.skip("segmentation-models-pytorch is installed")
    message = refusal(lambda: build_network("unet_pretrained", 3, 2), "CN-532")
    assert 'pip install "napari-convnet[encoders]"' in message


@pytest.mark.parametrize("encoder", ["resnet18", "mobilenet_v2"])
def test_a_pretrained_encoder_takes_the_weights_of_the_classifier(encoder):
    pytest.importorskip("segmentation_models_pytorch", reason="an extra: napari-convnet[encoders]")
    network = build_network("unet_pretrained", 2, 3, encoder=encoder)
    given = build_network(encoder, 3, 1000).state_dict()
    left = adapt_weights(network, given)
    assert not any(name.startswith("encoder.") for name in left)
    freeze(network, "unet_pretrained", 1)
    learning = {n for n, p in network.named_parameters() if p.requires_grad}
    last = backbone_blocks(network, "unet_pretrained")[-1]
    assert all(n.startswith(("decoder.", "head.", *last)) for n in learning)


# What learns


@pytest.mark.parametrize("network_id", CLASSIFIERS)
def test_a_frozen_network_learns_with_its_head_alone_and_keeps_its_statistics(network_id):
    if network_id not in LIGHT:
        network = laid_out(network_id, 3, 3)
        freeze_all_but_head(network, network_id)
        learning = [n for n, p in network.named_parameters() if p.requires_grad]
        assert learning
        assert len(learning) < len(list(network.parameters()))
        return
    network = build_network(network_id, 3, 3, (64, 64))
    freeze_all_but_head(network, network_id)
    set_training_mode(network)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    learning = {name for name, p in network.named_parameters() if p.requires_grad}
    optimiser = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.1)
    torch.nn.functional.cross_entropy(
        network(torch.randn(4, 3, 64, 64)), torch.tensor([0, 1, 2, 1])
    ).backward()
    optimiser.step()
    changed = {
        name
        for name, tensor in network.state_dict().items()
        if not torch.equal(tensor, before[name])
    }
    assert changed == learning
    assert len(learning) == 2  # weights and biases of one layer


@pytest.mark.parametrize("network_id", [n for n in CLASSIFIERS if NETWORKS[n].stated.parameters])
def test_blocks_and_head_hold_every_weight_once(network_id):
    network = laid_out(network_id, 3, 2, (64, 64))
    freeze(network, network_id)
    head = {id(p) for p in network.parameters() if p.requires_grad}
    inside = [
        id(parameter)
        for block in backbone_blocks(network, network_id)
        for name in block
        for parameter in network.get_submodule(name).parameters()
    ]
    assert len(inside) == len(set(inside))
    assert head.isdisjoint(inside)
    assert head | set(inside) == {id(p) for p in network.parameters()}


def test_the_last_blocks_learn_when_asked_and_the_rest_keeps_its_statistics():
    network = build_network("resnet18", 3, 2)
    freeze(network, "resnet18", unfreeze_last_blocks=2)
    assert {n.split(".")[0] for n, p in network.named_parameters() if p.requires_grad} == {
        "layer3", "layer4", "fc",
    }  # fmt: skip
    set_training_mode(network)
    assert not network.bn1.training
    assert network.layer4[0].bn1.training
    freeze(network, "resnet18", unfreeze_last_blocks=5)
    assert all(p.requires_grad for p in network.parameters())
    message = refusal(lambda: freeze(network, "resnet18", 6), "CN-533")
    assert "it has 5" in message


def test_groups_have_the_factors_of_their_weights():
    network = build_network("mobilenet_v2", 3, 2)
    groups = parameter_groups(network, "mobilenet_v2", backbone_factor=0.1, bias_factor=2)
    assert sorted(g["factor"] for g in groups) == pytest.approx([0.1, 0.2, 1.0, 2.0])
    assert sum(len(g["params"]) for g in groups) == len(list(network.parameters()))
    head = next(g for g in groups if g["factor"] == 2.0)
    assert head["params"] == [network.classifier[1].bias]
    optimiser = torch.optim.AdamW(groups, lr=1e-3)
    assert [g["factor"] for g in optimiser.param_groups] == [g["factor"] for g in groups]
    freeze(network, "mobilenet_v2")
    learning = parameter_groups(network, "mobilenet_v2", backbone_factor=0.1)
    assert [(g["factor"], len(g["params"])) for g in learning] == [(1.0, 2)]


# ImageNet networks as they are


def test_the_thousand_names_are_imagenets():
    names = imagenet_classes()
    assert len(names) == 1000
    assert (names[0], names[281], names[999]) == ("tench", "tabby", "toilet tissue")


@pytest.mark.parametrize("network_id", ["squeezenet1_1", "mobilenet_v2"])
def test_an_imagenet_classifier_takes_any_image_as_torchvision_does(network_id):
    source = build_network(network_id, 3, 1000)
    classifier = build_imagenet_classifier(network_id, source.state_dict())
    image = torch.rand(2, 3, 300, 257)
    prepared = classifier.prepare(image)
    assert prepared.shape == (2, 3, 224, 224)
    torch.testing.assert_close(output_of(classifier, image), output_of(source, prepared))
    grey = torch.rand(1, 1, 64, 80)
    torch.testing.assert_close(
        output_of(classifier, grey), output_of(classifier, grey.expand(-1, 3, -1, -1))
    )
    refusal(lambda: classifier(torch.rand(1, 4, 64, 64)), "CN-534")
    refusal(lambda: build_imagenet_classifier("convnet", {}), "CN-502")
    own = build_network(network_id, 3, 5).state_dict()
    assert "not complete" in refusal(lambda: build_imagenet_classifier(network_id, own), "CN-111")


@pytest.mark.data
@pytest.mark.parametrize("network_id", ["squeezenet1_1", "mobilenet_v2"])
def test_a_real_imagenet_network_knows_a_flower(network_id):
    data = os.environ.get("NAPARI_CONVNET_DATA")
    if not data:
        pytest.skip("set NAPARI_CONVNET_DATA to the folder of real images")
    weights = Path(data) / "weights" / f"{network_id}_imagenet.safetensors"
    pictures = sorted(Path(data).rglob("flowers5*/**/*.jpg"))
    if not weights.exists() or not pictures:
        pytest.skip(f"{weights.name} or flowers5 is not in {data}")
    from PIL import Image
    from torchvision.transforms.functional import to_tensor

    from napari_convnet.model_file import read_weights

    classifier = build_imagenet_classifier(network_id, read_weights(weights))
    found = {}
    for flower in ("daisy", "rose"):
        found[flower] = 0
        for path in [p for p in pictures if p.parent.name == flower][:24]:
            with Image.open(path) as picture:
                image = to_tensor(picture.convert("RGB"))[None]
            found[flower] += name_best(output_of(classifier, image))[0][0][0] == "daisy"
    # The pictures were made small and are blurred; of 1,000 names, chance would give 0.02 in 24.
    assert found["daisy"] >= 2
    assert found["daisy"] > found["rose"]
