"""Settings chosen from the data fit them and say why."""

import torch

from napari_convnet import TrainingSettings, run, train
from napari_convnet.settings import field_options
from napari_convnet.training import suggest_epochs, suggest_settings
from synthetic_pictures import blob_set, shape_set


def test_small_sets_get_small_batches_and_many_epochs():
    small, large = (suggest_settings(shape_set(n), "convnet") for n in (40, 1000))
    assert (small.settings.batch_size, large.settings.batch_size) == (16, 32)
    assert small.settings.epochs > large.settings.epochs
    assert small.settings.epochs == suggest_epochs(shape_set(40), 16)
    assert suggest_settings(shape_set(1000), "convnet", "cuda").settings.batch_size == 64


def test_every_choice_has_a_sentence_with_its_numbers():
    rare = shape_set(100, share_of_squares=0.1)
    found = suggest_settings(rare, "mobilenet_v2", torch.device("cpu"))
    assert found.reasons.keys() <= field_options(TrainingSettings).keys()
    assert all(reason.endswith(".") for reason in found.reasons.values())
    counts = rare.class_counts()
    assert f"'square' {counts[1]}" in found.reasons["balance"]
    assert "5e-04" in f"{found.settings.learning_rate:.0e}"
    assert "32 bits on this CPU" in found.text
    assert "equally frequent" in suggest_settings(shape_set(40), "convnet").reasons["balance"]


def test_what_a_person_chose_stays():
    chosen = TrainingSettings(solver="sgdm", augment=False, seed=4)
    found = suggest_settings(blob_set(), "unet", settings=chosen)
    assert (found.settings.solver, found.settings.seed, found.settings.augment) == (
        "sgdm",
        4,
        False,
    )
    assert found.settings.batch_size == 8
    assert "as you chose" in found.reasons["augment"]


def test_suggested_settings_train():
    samples = shape_set(60)
    settings = suggest_settings(samples, "convnet").settings
    quick = TrainingSettings.from_record({**vars(settings), "epochs": 1, "device": "cpu"})
    model = run(train(samples, settings=quick, network_settings={"width": 4, "blocks": 1}))
    assert model.card.training["batch_size"] == 16
