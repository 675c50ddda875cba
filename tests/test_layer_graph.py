"""Layer graphs: what they compute, how they are written and read, and how they say what does not fit."""

import json
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_convnet.errors import UserError
from napari_convnet.networks import (
    GraphBuilder,
    GraphNetwork,
    Layer,
    LayerGraph,
    build_network,
    graph_from_json,
    graph_to_json,
)
from napari_convnet.networks import layers as kinds
from napari_convnet.networks import network_settings as of
from napari_convnet.networks.lecture import patch_classifier, patch_segmenter, segnet


def refusal(action, code):
    with pytest.raises(UserError) as caught:
        action()
    assert caught.value.code == code
    assert len(caught.value.message) <= 300
    return caught.value.message


def chain(*layers):
    builder = GraphBuilder()
    builder.chain(*layers)
    return builder.graph()


def branching():
    """A graph with every way of joining: a residual sum, a skip, unpooling, and both ways up."""
    builder = GraphBuilder()
    start = builder.chain(kinds.Conv2d(6, padding="same"), kinds.BatchNorm(), kinds.Relu())
    branch = builder.chain(kinds.Conv2d(6, 5, padding="same"), kinds.Tanh())
    joined = builder.add(kinds.Add(), branch, start)
    pool = builder.add(kinds.MaxPool2d())
    builder.chain(kinds.Conv2d(6, padding=1, dilation=1), kinds.LeakyRelu(0.2))
    unpooled = builder.add(kinds.MaxUnpool2d(), builder.last, pool)
    small = builder.add(kinds.AveragePool2d(), joined)
    up = builder.add(kinds.Upsample(2, "bilinear"), small)
    transposed = builder.add(kinds.TransposedConv2d(5, bias=False), small)
    builder.add(kinds.Concatenate(), unpooled, up, transposed, start)
    builder.chain(kinds.Elu(), kinds.Dropout(0.1), kinds.Conv2d(0, 1))
    return builder.graph()


# What they compute

SIZES = st.tuples(st.integers(1, 20), st.integers(1, 20))


@given(
    size=SIZES,
    layer=st.one_of(
        st.builds(
            kinds.Conv2d,
            filters=st.integers(1, 3),
            kernel=st.sampled_from([1, 3, 5]),
            stride=st.integers(1, 3),
            padding=st.sampled_from(["valid", "same", "1", "2"]),
            dilation=st.integers(1, 3),
            bias=st.booleans(),
        ),
        st.builds(
            kinds.MaxPool2d,
            size=st.integers(2, 4),
            stride=st.integers(0, 4),
            padding=st.integers(0, 1),
            ceil=st.booleans(),
            dilation=st.integers(1, 2),
        ),
        st.builds(
            kinds.AveragePool2d,
            size=st.integers(2, 4),
            stride=st.integers(0, 4),
            padding=st.integers(0, 1),
            ceil=st.booleans(),
        ),
        st.builds(
            kinds.TransposedConv2d,
            filters=st.integers(1, 3),
            kernel=st.integers(1, 4),
            stride=st.integers(1, 3),
            padding=st.integers(0, 2),
        ),
        st.builds(kinds.Pad, before=st.integers(0, 3), after=st.integers(0, 3)),
        st.builds(kinds.Upsample, factor=st.integers(2, 3)),
    ),
)
@settings(max_examples=300, deadline=None)
def test_the_shape_that_was_worked_out_is_the_one_that_torch_gives(size, layer):
    # One layer, so that torch itself says whether it fits.
    from napari_convnet.networks.graph_network import _MODULES
    from napari_convnet.networks.layers import DoesNotFit

    if isinstance(layer, kinds.MaxPool2d):
        module = torch.nn.MaxPool2d(
            layer.size, layer.between, layer.padding, layer.dilation, ceil_mode=layer.ceil
        )
    else:
        module = _MODULES[type(layer)](layer, (2, *size))
    try:
        expected = tuple(module(torch.zeros(1, 2, *size)).shape[1:])
    except RuntimeError:
        with pytest.raises(DoesNotFit):
            layer.output_shape((2, *size))
        return
    if 0 in expected:  # torch accepts an image without pixels; a person would not
        with pytest.raises(DoesNotFit):
            layer.output_shape((2, *size))
        return
    assert layer.output_shape((2, *size)) == expected
    assert layer.n_parameters((2, *size)) == sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("size", [(16, 16), (13, 27), (1, 1)])
def test_a_branching_network_learns_and_keeps_the_size_of_any_image(size):
    network = GraphNetwork(branching(), 2, 3, size)
    output = network(torch.randn(2, 2, *size))
    assert output.shape == (2, 3, *size)
    output.square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
    assert sum(e.parameters for e in network.lay_out(size)) == sum(
        p.numel() for p in network.parameters()
    )


def test_a_branching_network_computes_what_its_layers_say():
    network = GraphNetwork(branching(), 1, 2, (8, 8)).eval()
    layers, image = network.layers, torch.randn(1, 1, 8, 8)
    start = layers["relu_1"](layers["batch_norm_1"](layers["conv_1"](image)))
    joined = torch.tanh(layers["conv_2"](start)) + start
    pooled, places = torch.nn.functional.max_pool2d(joined, 2, return_indices=True)
    deep = torch.nn.functional.leaky_relu(layers["conv_3"](pooled), 0.2)
    unpooled = torch.nn.functional.max_unpool2d(deep, places, 2)
    small = torch.nn.functional.avg_pool2d(joined, 2)
    up = torch.nn.functional.interpolate(small, scale_factor=2, mode="bilinear")
    skips = torch.cat([unpooled, up, layers["transposed_conv_1"](small), start], 1)
    expected = layers["conv_4"](torch.nn.functional.elu(skips))
    torch.testing.assert_close(network(image), expected)


def test_two_logits_from_one_unit_are_the_sigmoid():
    network = build_network("perceptron", 1, 2, (5, 5))
    image = torch.randn(4, 1, 5, 5)
    unit = network.layers["linear_1"](image.flatten(1))
    probabilities = network(image).softmax(1)
    torch.testing.assert_close(probabilities[:, 1:], unit.sigmoid())
    torch.testing.assert_close(probabilities.sum(1), torch.ones(4))


def test_the_patch_segmenter_is_the_patch_classifier_at_every_pixel():
    settings_ = of.PatchSegmenterSettings(width=4)
    dense = GraphNetwork(patch_segmenter(3, settings_), 2, 3, (24, 30)).eval()
    sliding = GraphNetwork(patch_classifier(3, settings_), 2, 3, (32, 32)).eval()
    sliding.load_state_dict(dense.state_dict())
    image = torch.randn(1, 2, 24, 30)
    wide = torch.nn.functional.pad(image, (16, 15, 16, 15), mode="replicate")
    with torch.inference_mode():
        answer = dense(image)[0]
        for row, column in ((0, 0), (11, 17), (23, 29)):
            patch = wide[..., row : row + 32, column : column + 32]
            torch.testing.assert_close(answer[:, row, column], sliding(patch)[0, :, 0, 0])


def test_one_sample_in_the_last_batch_can_be_trained_on():
    network = build_network("malaria_convnet", 1, 2, (8, 8)).train()
    assert network(torch.randn(1, 1, 8, 8)).isfinite().all()


# JSON


@pytest.mark.parametrize("graph", [branching(), segnet(3, of.SegNetSettings())])
def test_json_gives_the_same_graph_back(graph):
    assert graph_from_json(graph_to_json(graph)) == graph


def test_graphs_and_the_catalogue_need_no_torch():
    import subprocess
    import sys

    code = (
        "import sys\n"
        "from napari_convnet.networks import NETWORKS, graph_from_json, GraphBuilder\n"
        "graph = graph_from_json(NETWORKS['custom'].settings().graph)\n"
        "assert graph.lay_out((3, 64, 64), 5)[-1].output_shape == (5,)\n"
        "assert 'torch' not in sys.modules\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def one_layer(**changes):
    layer = {"name": "conv 1", "kind": "conv2d", "settings": {"filters": 4}, "inputs": ["image"]}
    return json.dumps({"layers": [{**layer, **changes}]})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "text"),
        ("[]", "text"),
        ("{}", "layers"),
        ('{"layers":[]}', "layers"),
        ("[" * 100_000, "text"),
        (one_layer(kind="__import__"), "kind"),
        (one_layer(kind="exec"), "not known, 'exec'"),
        (one_layer(name="<b>conv</b>"), "layers.0.name"),
        (one_layer(name="image"), "two layers are called 'image'"),
        (one_layer(inputs=["conv 1"]), "'conv 1' takes 'conv 1', which is no earlier layer"),
        (one_layer(inputs=[]), "layers.0.inputs"),
        (one_layer(inputs=["image", "image"]), "'conv 1' needs 1 inputs but has 2"),
        (one_layer(settings={"filters": 10**9}), "'conv 1': 'filters' is 1000000000"),
        (one_layer(settings={"filters": 10**30}), "'conv 1': 'filters' is 1e+30"),
        (one_layer(settings={"filters": True}), "'filters' is True"),
        (one_layer(settings={"filters": 4.0}), "'filters' is 4.0"),
        (one_layer(settings={"bias": "yes"}), "'bias' of 'conv 1' is 'yes'"),
        (one_layer(settings={"padding": -1}), "'padding' is -1"),
        (one_layer(settings={"padding": "same", "kernel": 2}), "odd side"),
        (one_layer(settings={"code": 1}), "has no setting 'code'"),
        (one_layer(settings={"filters": [4]}), "layers.0.settings"),
        (one_layer(extra=1), "layers.0.extra"),
        (one_layer().replace("4", "NaN"), "layers.0.settings.filters"),
        ('{"layers":[' + ",".join(["{}"] * 60_000) + "]}", "characters"),
    ],
)
def test_a_graph_that_breaks_a_rule_is_refused_in_words(text, words):
    assert words in refusal(lambda: graph_from_json(text), "CN-530")


def test_layers_that_lead_nowhere_or_unpool_what_is_no_pool_are_refused():
    conv = kinds.Conv2d(4)
    layers = (Layer("a", conv, ("image",)), Layer("b", conv, ("image",)))
    assert "no layer takes 'a'" in refusal(lambda: LayerGraph(layers), "CN-530")
    unpool = (Layer("a", conv, ("image",)), Layer("b", kinds.MaxUnpool2d(), ("a", "a")))
    assert "must be a max pool" in refusal(lambda: LayerGraph(unpool), "CN-530")
    repeated = (Layer("a b", conv, ("image",)), Layer("a_b", conv, ("a b",)))
    assert "two layers" in refusal(lambda: LayerGraph(repeated), "CN-530")


# What does not fit


def test_the_layer_that_does_not_fit_is_named_with_both_sizes():
    deep = chain(kinds.Conv2d(8), kinds.MaxPool2d(), kinds.Conv2d(8), kinds.Conv2d(8))
    message = refusal(lambda: deep.lay_out((1, 10, 10), 2), "CN-531")
    assert message == "'conv 3' needs 3 x 3 pixels but gets 2 x 2."
    for graph, words in (
        (chain(kinds.Linear(3)), "'linear 1' needs single values but gets maps of 8 x 8 pixels"),
        (chain(kinds.Flatten(), kinds.Conv2d(3)), "'conv 1' needs maps"),
        (chain(kinds.Flatten(), kinds.Linear(3), kinds.TwoLogits()), "needs one unit but gets 3"),
        (chain(kinds.Flatten(), kinds.Linear(65_536), kinds.Linear(65_536)), "weights; limit"),
        (chain(kinds.Conv2d(8192, 1), *[kinds.Upsample(16)] * 2), "values of one image; limit"),
    ):
        assert words in refusal(lambda g=graph: g.lay_out((1, 8, 8), 2), "CN-531")
    builder = GraphBuilder()
    one, two = builder.add(kinds.Conv2d(4), "image"), builder.add(kinds.Conv2d(4, 5), "image")
    builder.add(kinds.Add(), one, two)
    message = refusal(lambda: builder.graph().lay_out((1, 8, 8), 2), "CN-531")
    assert message == "'add 1' needs inputs of one shape but gets 4 x 6 x 6 and 4 x 4 x 4."


def test_an_image_of_another_size_than_it_was_built_for_is_refused_in_words():
    network = build_network("keras_mnist", 1, 10, (28, 28)).eval()
    message = refusal(lambda: network(torch.zeros(1, 1, 32, 32)), "CN-531")
    assert "'linear 1' would need 18,010 weights for 32 x 32 pixels and has 13,530" in message


def test_names_that_torch_has_taken_are_possible_layer_names():
    layers = (
        Layer("type", kinds.Conv2d(3), ("image",)),
        Layer("keys", kinds.Relu(), ("type",)),
        Layer("training", kinds.Conv2d(0, 1), ("keys",)),
    )
    network = GraphNetwork(LayerGraph(layers), 1, 2, (8, 8))
    assert network(torch.zeros(1, 1, 8, 8)).shape == (1, 2, 6, 6)


def test_steps_tell_how_much_the_image_was_halved():
    laid_out = {e.layer.name: e for e in branching().lay_out((1, 8, 8), 2)}
    assert laid_out["max pool 1"].step == 2
    assert laid_out["max unpool 1"].step == laid_out["transposed conv 1"].step == 1
    assert branching().multiple == 2
    assert isinstance(laid_out["conv 1"].step, Fraction)


# In the catalogue


def test_a_persons_own_layers_are_a_network_of_the_catalogue():
    own = graph_to_json(chain(kinds.Conv2d(4), kinds.Relu(), kinds.Flatten(), kinds.Linear(0)))
    network = build_network("custom", 2, 5, (9, 9), graph=own)
    assert network(torch.zeros(3, 2, 9, 9)).shape == (3, 5)
    pixels = graph_to_json(chain(kinds.Conv2d(0, padding="same")))
    assert build_network("custom", 2, 5, graph=pixels)(torch.zeros(1, 2, 7, 7)).shape[1] == 5
    wrong = graph_to_json(chain(kinds.Flatten(), kinds.Linear(4)))
    message = refusal(lambda: build_network("custom", 2, 5, (9, 9), graph=wrong), "CN-531")
    assert "The last layer gives 4 values; 5 classes need 5 values" in message
    refusal(lambda: build_network("custom", 2, 5, graph="{}"), "CN-530")
    refusal(lambda: build_network("custom", 2, 5, graph=7), "CN-501")
