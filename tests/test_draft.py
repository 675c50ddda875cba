"""Drafts of networks: edits keep lines connected, and the first layer that is wrong is found, whatever the edits."""

import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_convnet.errors import UserError
from napari_convnet.networks import GraphNetwork, graph_from_json
from napari_convnet.networks import layers as kinds
from napari_convnet.networks.catalogue import network_entry
from napari_convnet.networks.draft import GRAPH_NETWORKS, Draft, catalogue_graph, check_draft
from napari_convnet.networks.network_settings import STARTER_GRAPH

STARTER = Draft(graph_from_json(STARTER_GRAPH).layers)


def takes(draft):
    return {layer.name: layer.inputs for layer in draft.layers}


def place(draft, name):
    return [layer.name for layer in draft.layers].index(name)


@pytest.mark.parametrize("network_id", GRAPH_NETWORKS)
def test_every_graph_of_the_catalogue_is_a_right_draft(network_id):
    entry = network_entry(network_id)
    stated = entry.stated
    outputs = 2 if entry.task == "locate" else stated.classes
    draft = Draft(catalogue_graph(network_id, stated.classes).layers)
    check = check_draft(draft, (stated.channels, stated.size, stated.size), outputs, entry.task)
    assert (check.wrong, check.problem) == (None, "")
    assert check.parameters == stated.parameters
    assert len(check.laid_out) == len(draft.layers)


def test_an_added_layer_comes_into_the_line_and_a_removed_one_leaves_none():
    added = STARTER.add(place(STARTER, "relu 2"), kinds.Conv2d(32, padding="same"))
    assert takes(added)["conv 3"] == ("relu 2",)
    assert takes(added)["max pool 2"] == ("conv 3",)
    joined = added.add(place(added, "conv 3"), kinds.Add())
    assert takes(joined)["add 1"] == ("conv 3", "relu 2")
    assert takes(joined)["max pool 2"] == ("add 1",)
    assert check_draft(joined, (3, 16, 16), 4, "classify").wrong is None
    back = joined.remove(place(joined, "add 1"))
    assert back == added
    assert back.remove(place(back, "conv 3")) == STARTER
    first = STARTER.add(-1, kinds.BatchNorm())
    assert takes(first)["conv 1"] == ("batch norm 1",)


def test_moving_exchanges_two_layers_of_a_line_and_back():
    moved = STARTER.move(place(STARTER, "relu 1"), 1)
    assert takes(moved)["max pool 1"] == ("conv 1",)
    assert takes(moved)["relu 1"] == ("max pool 1",)
    assert takes(moved)["conv 2"] == ("relu 1",)
    assert moved.move(place(moved, "relu 1"), -1) == STARTER
    assert STARTER.move(0, -1) is STARTER
    assert STARTER.move(len(STARTER.layers) - 1, 1) is STARTER


def test_names_stay_unique_and_are_changed_where_they_are_taken():
    renamed = STARTER.rename(0, " stem ")
    assert takes(renamed)["relu 1"] == ("stem",)
    for name in ("conv 2", "conv_2", "image", "", "1st", "<b>"):
        with pytest.raises(UserError) as caught:
            STARTER.rename(0, name)
        assert caught.value.code == "CN-530"


@pytest.mark.parametrize(
    ("change", "wrong", "words"),
    [
        (lambda d: d.remove(6), "linear 1", "needs single values"),
        (lambda d: d.set_inputs(3, ("nowhere",)), "conv 2", "no earlier layer"),
        (lambda d: d.set_inputs(3, ()), "conv 2", "needs 1 inputs but has 0"),
        (lambda d: d.set_inputs(3, ("relu 1",)), "max pool 1", "No later layer takes"),
        (lambda d: d.set_settings(0, kinds.Conv2d(8, 63)), "conv 1", "63 x 63"),
        (lambda d: d.set_settings(7, kinds.Linear(9)), "linear 1", "must give 4 values"),
        (lambda d: d.set_settings(7, kinds.Linear(65_536)).set_settings(
            6, kinds.Flatten()), "linear 1", "weights"),
    ],
)  # fmt: skip
def test_the_first_wrong_layer_is_named_with_what_is_wrong(change, wrong, words):
    draft = change(STARTER.set_settings(3, kinds.Conv2d(8192, padding="same")))
    check = check_draft(draft, (3, 32, 32), 4, "classify")
    assert draft.layers[check.wrong].name == wrong
    assert words in check.problem
    assert len(check.laid_out) >= check.wrong


def test_outputs_are_checked_against_the_task():
    maps = Draft(catalogue_graph("segnet", 3).layers)
    assert check_draft(maps, (1, 40, 40), 3, "segment").wrong is None
    assert "To classify 3 classes" in check_draft(maps, (1, 40, 40), 3, "classify").problem
    assert "as large as the image" in check_draft(STARTER, (1, 40, 40), 3, "segment").problem
    assert check_draft(STARTER, (1, 40, 40), 2, "locate").wrong is None
    assert "row and column" in check_draft(maps, (1, 40, 40), 2, "locate").problem


EDITS = st.one_of(
    st.tuples(st.just("add"), st.integers(0, 99), st.sampled_from(kinds.LAYER_KINDS)),
    st.tuples(st.just("remove"), st.integers(0, 99), st.none()),
    st.tuples(st.just("move"), st.integers(0, 99), st.sampled_from([-1, 1])),
    st.tuples(st.just("inputs"), st.integers(0, 99), st.lists(st.integers(0, 99), max_size=3)),
)


def edited(draft, edit):
    what, where, value = edit
    index = where % len(draft.layers)
    if what == "add":
        return draft.add(index, value())
    if what == "remove":
        return draft.remove(index) if len(draft.layers) > 1 else draft
    if what == "move":
        return draft.move(index, value)
    names = draft.names_before(len(draft.layers))
    return draft.set_inputs(index, tuple(names[k % len(names)] for k in value))


@given(edits=st.lists(EDITS, max_size=12))
@settings(max_examples=150, deadline=None)
def test_a_draft_is_right_exactly_if_torch_can_compute_it(edits):
    draft = STARTER
    for edit in edits:
        draft = edited(draft, edit)
        assert len({layer.key for layer in draft.layers}) == len(draft.layers)
        check = check_draft(draft, (2, 16, 16), 3, "classify")
        assert (check.wrong is None) == (check.problem == "")
    if check_draft(draft, (2, 16, 16), 3, "classify").wrong is None:
        network = GraphNetwork(draft.graph(), 2, 3, (16, 16)).eval()
        assert network(torch.zeros(2, 2, 16, 16)).shape == (2, 3)
        found = check_draft(draft, (2, 16, 16), 3, "classify").parameters
        assert found == sum(p.numel() for p in network.parameters())


def test_checking_needs_no_torch():
    code = (
        "import sys; from napari_convnet.networks.draft import *; "
        "d = Draft(catalogue_graph('cifar_resnet', 3).layers); "
        "assert check_draft(d, (3, 32, 32), 3, 'classify').wrong is None; "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
