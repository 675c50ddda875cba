"""A saved model opens as the same model, or is refused in words; a failed save harms nothing."""

from __future__ import annotations

import copy
import hashlib
import os
import random
from pathlib import Path

import numpy as np
import pytest
import safetensors
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from model_file_builders import outputs, put_together, small_card, small_model, take_apart
from napari_convnet.errors import UserError
from napari_convnet.model_file import (
    Model,
    check_channels,
    load_model,
    model_bytes,
    model_from_bytes,
    read_weights,
    save_model,
)
from napari_convnet.model_file.card import FORMAT_VERSION
from napari_convnet.networks import NETWORKS


@pytest.fixture(scope="module")
def model() -> Model:
    return small_model()


@pytest.fixture(scope="module")
def data(model: Model) -> bytes:
    return model_bytes(model)


def refusal(data: bytes, name: str = "cells.safetensors") -> UserError:
    with pytest.raises(UserError) as caught:
        model_from_bytes(data, name)
    return caught.value


# Saving and opening


LARGE = {name for name, entry in NETWORKS.items() if entry.stated.parameters > 20_000_000}
#: Model files know no positions yet, and a network may need a library that is not installed.
SAVED = sorted(n for n, e in NETWORKS.items() if e.task != "locate" and e.is_available)


@pytest.mark.parametrize(
    "network",
    [pytest.param(n, marks=[pytest.mark.long] if n in LARGE else []) for n in SAVED],
)
def test_an_opened_model_predicts_exactly_as_the_saved_one(network: str, tmp_path: Path) -> None:
    saved = small_model(network)
    save_model(saved, tmp_path / "cells.safetensors")
    opened = load_model(tmp_path / "cells.safetensors")
    assert opened.card == saved.card
    np.testing.assert_array_equal(opened.sample_input, saved.sample_input)
    np.testing.assert_array_equal(outputs(opened), outputs(saved))
    assert not opened.network.training
    assert not any(t.is_meta for t in (*opened.network.parameters(), *opened.network.buffers()))


def test_an_opened_model_can_be_trained_on(data: bytes) -> None:
    network = model_from_bytes(data, "cells").network.train()
    before = [parameter.detach().clone() for parameter in network.parameters()]
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    network(torch.randn(4, 2, 16, 16)).square().mean().backward()
    optimizer.step()
    assert any(not torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))


def test_saving_leaves_the_network_and_the_random_numbers_as_they_are(model: Model) -> None:
    model.network.train()
    weights = {name: t.clone() for name, t in model.network.state_dict().items()}
    state = torch.random.get_rng_state()
    model_bytes(model)
    assert model.network.training
    model.network.eval()
    assert torch.equal(state, torch.random.get_rng_state())
    for name, tensor in model.network.state_dict().items():
        assert torch.equal(tensor, weights[name])


def test_the_same_model_always_gives_the_same_bytes(model: Model, data: bytes) -> None:
    assert model_bytes(model) == data
    assert model_bytes(model_from_bytes(data, "cells")) == data


def test_the_safetensors_library_reads_the_file(model: Model, data: bytes) -> None:
    tensors = safetensors.torch.load(data)
    for name, tensor in model.network.state_dict().items():
        assert torch.equal(tensors[f"network.{name}"], tensor)


def test_the_hash_is_what_the_documentation_says(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "cells.safetensors").write_bytes(data)
    with safetensors.safe_open(tmp_path / "cells.safetensors", "pt") as file:
        stated = file.metadata()["sha256"]
    assert hashlib.sha256(data.replace(stated.encode(), b"0" * 64)).hexdigest() == stated


def test_a_large_sample_is_cut_so_that_opening_stays_quick(model: Model) -> None:
    large = np.random.default_rng(0).normal(size=(2, 2, 600, 520)).astype(np.float32)
    opened = model_from_bytes(model_bytes(Model(model.card, model.network, large)), "cells")
    np.testing.assert_array_equal(opened.sample_input, large[:1, :, :512, :512])


def test_a_sample_without_the_batch_axis_is_accepted(model: Model, data: bytes) -> None:
    assert model_bytes(Model(model.card, model.network, model.sample_input[0])) == data


def test_a_score_that_is_not_known_becomes_none(model: Model) -> None:
    card = small_card(scores={"IoU": {"mitosis": float("nan")}}, training={"note": ""})
    opened = model_from_bytes(model_bytes(Model(card, model.network, model.sample_input)), "cells")
    assert opened.card.scores == {"IoU": {"mitosis": None}}


# What is wrong with a model is said before an old file is touched


def test_weights_that_are_not_numbers_are_not_saved(tmp_path: Path) -> None:
    target = tmp_path / "cells.safetensors"
    target.write_bytes(b"old")
    broken = small_model()
    with torch.no_grad():
        broken.network.classifier.weight[0, 0] = float("nan")
    with pytest.raises(UserError, match=r"network\.classifier\.weight.*NaN") as caught:
        save_model(broken, target)
    assert caught.value.code == "CN-105"
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["cells.safetensors"]


def test_a_network_that_is_not_the_one_of_its_card_is_not_saved(model: Model) -> None:
    other = small_card(network_settings={"width": 8, "blocks": 1})
    with pytest.raises(UserError, match="has shape") as caught:
        model_bytes(Model(other, model.network, model.sample_input))
    assert caught.value.code == "CN-105"


def test_only_the_suffix_that_can_be_opened_is_written(model: Model, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="safetensors") as caught:
        save_model(model, tmp_path / "cells.pt")
    assert caught.value.code == "CN-312"
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"classes": ()},
        {"channels": ("<img src=x>",)},
        {"name": "evil\u202egpj"},
        {"name": " "},
        {"scores": {"per class": [{"<b>": 1}]}},
        {"scores": {"note": ["\x1b[2J"]}},
        {"created": "yesterday"},
        {"input_size": (0, 8)},
        {"network_settings": {"in_channels": 3}},
        {"format_version": 2},
        {"normalisation": {"mode": "training_set", "mean": (1.0,), "std": (1.0,)}},
    ],
)
def test_the_card_refuses_what_no_reader_would_accept(changes: dict) -> None:
    with pytest.raises(ValidationError):
        small_card(**changes)


# Damage


def test_every_one_of_2000_flipped_bits_is_noticed(data: bytes) -> None:
    generator = random.Random(75)
    for _ in range(2000):
        damaged = bytearray(data)
        damaged[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
        assert refusal(bytes(damaged)).code in ("CN-101", "CN-102", "CN-103", "CN-104", "CN-105")


def test_every_one_of_300_truncations_is_noticed(data: bytes) -> None:
    generator = random.Random(76)
    for length in (0, 1, 7, 8, 9, *(generator.randrange(len(data)) for _ in range(295))):
        assert refusal(data[:length]).code in ("CN-103", "CN-105")
    assert refusal(data[:-1]).code == "CN-103"
    assert refusal(data + b"x").code == "CN-105"


def test_swapped_tensors_of_the_same_shape_are_noticed(data: bytes) -> None:
    tensors, _ = take_apart(data)
    first = tensors["network.features.1.running_mean"].numpy().tobytes()
    second = tensors["network.features.1.running_var"].numpy().tobytes()
    assert data.count(first) == data.count(second) == 1
    swapped = data.replace(first, b"?" * len(first)).replace(second, first)
    assert refusal(swapped.replace(b"?" * len(first), second)).code == "CN-103"


# Files that are whole but not right: changed, and hashed again


def with_tensor(data: bytes, name: str, tensor: torch.Tensor | None) -> bytes:
    tensors, card = take_apart(data)
    if tensor is None:
        del tensors[name]
    else:
        tensors[name] = tensor
    return put_together(tensors, card)


WEIGHT = "network.classifier.weight"


@pytest.mark.parametrize(
    ("name", "tensor", "words"),
    [
        (WEIGHT, torch.full((3, 4), float("nan")), "invalid numbers"),
        (WEIGHT, torch.full((3, 4), float("inf")), "invalid numbers"),
        ("sample.input", torch.full((1, 2, 8, 11), float("nan")), "invalid numbers"),
        ("sample.output", torch.full((1, 3), float("nan")), "invalid numbers"),
        (WEIGHT, torch.zeros(4, 3), "has shape"),
        (WEIGHT, torch.zeros(3, 4, dtype=torch.float64), "float64"),
        (WEIGHT, torch.zeros(3, 4, dtype=torch.float16), "float16"),
        (WEIGHT, None, "missing"),
        ("sample.input", None, "missing"),
        ("sample.output", None, "missing"),
        ("network.extra", torch.zeros(1), "does not belong"),
        ("other.extra", torch.zeros(1), "does not belong"),
        ("sample.input", torch.zeros(1, 3, 8, 8), "sample has shape"),
        ("sample.input", torch.zeros(1, 2, 0, 8), "pixels"),
        ("sample.input", torch.zeros(1, 2, 8, 513), "pixels"),
        ("sample.input", torch.zeros(1, 2, 8, 8, dtype=torch.int64), "sample has shape"),
        ("sample.output", torch.zeros(1, 4), "sample output"),
    ],
)
def test_wrong_tensors_are_refused_by_name(
    data: bytes, name: str, tensor: torch.Tensor | None, words: str
) -> None:
    error = refusal(with_tensor(data, name, tensor))
    assert error.code == "CN-105"
    assert words in error.message
    assert words in ("sample has shape", "pixels", "sample output") or (
        name.removeprefix("network.") in error.message
    )


def test_a_changed_weight_is_told_by_the_sample_and_can_be_accepted(
    data: bytes, tmp_path: Path
) -> None:
    weight = take_apart(data)[0][WEIGHT]
    weight += 0.01
    path = tmp_path / "cells.safetensors"
    path.write_bytes(with_tensor(data, WEIGHT, weight))
    with pytest.raises(UserError, match=r"limit 0\.001") as caught:
        load_model(path)
    assert caught.value.code == "CN-107"
    opened = load_model(path, accept_different=True)
    assert torch.equal(opened.network.classifier.weight, weight)


def test_a_newer_format_is_told_apart_from_a_broken_one(data: bytes) -> None:
    tensors, card = take_apart(data)
    newer = FORMAT_VERSION + 1
    error = refusal(put_together(tensors, {**card, "format_version": newer, "new": []}))
    assert error.code == "CN-104"
    assert f"format {newer}" in error.message


def test_a_network_too_large_for_any_computer_is_refused_by_its_size(data: bytes) -> None:
    tensors, card = take_apart(data)
    card.update(task="segment", network="unet", input_size=[64, 64])
    card["network_settings"] = {"width": 128, "levels": 6}
    error = refusal(put_together(tensors, card))
    assert error.code == "CN-105"
    assert "limit 2 GB" in error.message


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"network": "os.system"}, "not in the catalogue"),
        ({"network_settings": {"command": "touch canary"}}, "no setting"),
        ({"network_settings": {"width": 10**12}}, "between"),
        ({"network_settings": {"width": True}}, "whole number"),
        ({"task": "segment"}, "does not segment"),
        ({"input_size": [1, 1]}, "at least 8"),
    ],
)
def test_the_catalogue_bounds_what_a_card_may_ask_for(
    data: bytes, changes: dict, words: str
) -> None:
    tensors, card = take_apart(data)
    error = refusal(put_together(tensors, {**card, **changes}))
    assert error.code == "CN-105"
    assert words in error.message


# Files and folders


def test_a_failed_opening_changes_nothing(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "cells.safetensors"
    path.write_bytes(data[:-1])
    before = path.stat()
    with pytest.raises(UserError):
        load_model(path)
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert path.read_bytes() == data[:-1]
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("name", ["missing.safetensors", "with\0nul.safetensors", "x" * 5000])
def test_a_file_that_cannot_be_read_is_said_so(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        load_model(tmp_path / name)
    assert caught.value.code == "CN-108"
    assert len(caught.value.message) <= 300


def test_a_folder_is_not_a_model(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="folder") as caught:
        load_model(tmp_path)
    assert caught.value.code == "CN-105"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_named_pipe_does_not_hold_the_program_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "cells.safetensors")
    with pytest.raises(UserError) as caught:
        load_model(tmp_path / "cells.safetensors")
    assert caught.value.code == "CN-105"


@pytest.mark.parametrize("name", ["æøå 漢字 🔬", "trailing dot.", "x" * 243])
def test_unusual_file_names_work(name: str, data: bytes, model: Model, tmp_path: Path) -> None:
    path = tmp_path / f"{name}.safetensors"
    save_model(model, path)
    assert path.read_bytes() == data
    assert load_model(path).card == model.card


def test_messages_show_stranger_names_as_plain_short_text(data: bytes) -> None:
    error = refusal(data[:-1], "<img src=x>\u202e\x00\n" + "y" * 5000 + ".safetensors")
    assert not set("<>\u202e\x00\n") & set(error.message)
    assert len(error.message) <= 300


def test_channels_that_do_not_fit_are_told_with_both_numbers(model: Model) -> None:
    check_channels(model.card, 2, "nuclei")
    with pytest.raises(
        UserError, match=r"2 channels \(DAPI, GFP\); layer 'nuclei' has 1"
    ) as caught:
        check_channels(model.card, 1, "nuclei")
    assert caught.value.code == "CN-106"


# Bare weights


def test_bare_weights_are_read_and_halves_widened(tmp_path: Path) -> None:
    weights = {"a.weight": torch.randn(3, 4).half(), "b": torch.tensor(7), "e": torch.zeros(0, 2)}
    weights["c"] = torch.randn(5).bfloat16()
    path = tmp_path / "backbone.safetensors"
    safetensors.torch.save_file(weights, path)
    read = read_weights(path)
    assert read.keys() == weights.keys()
    assert read["a.weight"].dtype == read["c"].dtype == torch.float32
    for name, tensor in weights.items():
        assert torch.equal(read[name], tensor.to(read[name].dtype))


def test_bare_weights_are_no_model_and_the_words_say_what_they_are_for(tmp_path: Path) -> None:
    path = tmp_path / "backbone.safetensors"
    safetensors.torch.save_file({"weight": torch.zeros(3)}, path)
    with pytest.raises(UserError, match="Pretrained weights") as caught:
        load_model(path)
    assert caught.value.code == "CN-105"


def test_a_whole_model_is_no_bare_weights(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "cells.safetensors").write_bytes(data)
    with pytest.raises(UserError, match="whole model"):
        read_weights(tmp_path / "cells.safetensors")


def test_bare_weights_that_are_not_numbers_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "backbone.safetensors"
    safetensors.torch.save_file({"fc.bias": torch.tensor([float("inf")]).half()}, path)
    with pytest.raises(UserError, match=r"fc\.bias"):
        read_weights(path)


# Fuzzing

ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**25), 10**25)
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["classify", "segment", "unet", "resnet18", "#112233", "\ud800", 10**400]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


@st.composite
def changed_cards(draw: st.DrawFn, card: dict) -> object:
    """Return the card with one to three places deleted, replaced or added, at any depth."""
    changed = copy.deepcopy(card)
    for _ in range(draw(st.integers(1, 3))):
        where = changed
        while True:
            keys = list(where) if isinstance(where, dict) else list(range(len(where)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(where[key], dict | list) and where[key] and draw(st.booleans()):
                where = where[key]
                continue
            change = draw(st.sampled_from(["delete", "replace", "nudge", "add"]))
            if change == "delete":
                del where[key]
            elif change == "replace":
                where[key] = draw(ANYTHING)
            elif change == "nudge" and isinstance(where[key], int | float):
                where[key] = where[key] + draw(st.sampled_from([-1, 1, 0.5, 10**9]))
            elif isinstance(where, dict):
                where[draw(st.text(max_size=10))] = draw(ANYTHING)
            break
    return changed


def opens_or_is_refused(data: bytes) -> None:
    error = None
    try:
        model_from_bytes(data, "cells.safetensors")
    except UserError as refused:
        error = refused
    assert error is None or error.code in {f"CN-10{k}" for k in (1, 2, 3, 4, 5, 7)}
    assert error is None or len(error.message) <= 300


@pytest.fixture(scope="module")
def parts(data: bytes) -> tuple[dict, dict]:
    return take_apart(data)


QUIET = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large],
    "derandomize": True,
}


@settings(max_examples=300, **QUIET)
@given(choices=st.data())
def test_a_fuzzed_card_opens_or_is_refused(
    parts: tuple[dict, dict], choices: st.DataObject
) -> None:
    tensors, card = parts
    opens_or_is_refused(put_together(tensors, choices.draw(changed_cards(card))))


@pytest.mark.long
@settings(max_examples=5000, **QUIET)
@given(choices=st.data())
def test_5000_fuzzed_cards_open_or_are_refused(
    parts: tuple[dict, dict], choices: st.DataObject
) -> None:
    tensors, card = parts
    opens_or_is_refused(put_together(tensors, choices.draw(changed_cards(card))))


@settings(max_examples=300, **QUIET)
@given(start=st.binary(max_size=40), cut=st.integers(0, 40))
def test_any_bytes_in_front_are_refused(data: bytes, start: bytes, cut: int) -> None:
    opens_or_is_refused(start + data[cut:])
