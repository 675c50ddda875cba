"""Live training without a dock: strokes, classes and views change while it goes on."""

from __future__ import annotations

import itertools
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from live_helpers import Painter, bright_quarters, finish, go_on_until, request

from napari_convnet.classes import make_classes
from napari_convnet.errors import UserError
from napari_convnet.images import CleanImage
from napari_convnet.live import LivePart, Looked, Resting, StrokesJoined, WaitingForStrokes
from napari_convnet.live.crops import PaintedCrops
from napari_convnet.live.network import REST_STEPS, LiveNetwork
from napari_convnet.live.training import train_live
from napari_convnet.prediction import segment_image
from napari_convnet.progress import run
from napari_convnet.training import BatchFinished, StoppedEarly, TrainingInterrupted

TOP, BOTTOM = slice(5, 60), slice(68, 123)
LEFT, RIGHT = slice(5, 60), slice(68, 123)


@pytest.fixture
def stop():
    return threading.Event()


@pytest.fixture
def painter():
    found = Painter(bright_quarters())
    found.paint(1, slice(10, 14), LEFT)
    found.paint(2, slice(10, 14), RIGHT)
    found.look_at_all()
    return found


def painted_by(events, key=0, shape=(128, 128)) -> np.ndarray:
    classes = np.zeros(shape, np.uint8)
    for event in events:
        if isinstance(event, LivePart) and event.key[0] == key:
            (row, column), (height, width) = event.origin, event.classes.shape
            classes[row : row + height, column : column + width] = event.classes
    return classes


def test_it_waits_for_two_classes_and_gives_nothing_without_them(stop):
    painter = Painter(bright_quarters())
    steps = train_live(painter, request(), stop=stop)
    go_on_until(steps, lambda event: isinstance(event, WaitingForStrokes))
    painter.paint(1, slice(10, 14), LEFT)
    assert isinstance(next(steps), WaitingForStrokes)
    assert finish(steps, stop) is None


def test_it_learns_and_its_model_says_the_same_of_the_whole_image(painter, stop):
    steps = train_live(painter, request(), stop=stop)
    events = go_on_until(steps, lambda event: isinstance(event, Looked) and event.agreement > 0.99)
    shown = painted_by(events)
    assert (shown[TOP, LEFT] == 1).mean() > 0.9
    assert (shown[TOP, RIGHT] == 2).mean() > 0.9
    model = finish(steps, stop)
    found = run(segment_image(model, painter.images[0], device="cpu"))
    assert (found.classes == shown).mean() > 0.95
    assert model.card.scores["live"]["joined"][0]["step"] == 0
    assert "no score" in model.card.scores["warning"]


def test_a_correction_is_scored_before_it_is_learned(painter, stop):
    steps = train_live(painter, request(), stop=stop)
    events = go_on_until(steps, lambda event: isinstance(event, Looked) and event.agreement > 0.99)
    shown = painted_by(events)
    rows, columns = slice(90, 110), slice(20, 100)
    truth = np.full((128, 128), 1, np.uint8)  # whatever it says below: half of it is wrong
    painter.paint(1, rows, columns)
    joined = go_on_until(steps, lambda event: isinstance(event, StrokesJoined))[-1]
    assert joined.n_pixels == joined.n_scored == 20 * 80
    assert joined.n_right == np.count_nonzero(shown[rows, columns] == truth[rows, columns])
    assert joined.rights == ((joined.n_scored, joined.n_right), (0, 0))
    kept = finish(steps, stop).card.scores["live"]["joined"][-1]
    assert (kept["step"], kept["scored"], kept["right"]) == (joined.done, 1600, joined.n_right)


def test_a_class_that_is_added_while_it_trains_is_learned_and_the_others_stay(painter, stop):
    steps = train_live(painter, request(), stop=stop)
    go_on_until(steps, lambda event: isinstance(event, Looked) and event.agreement > 0.99)
    painter.name_classes("dark", "bright", "brightest")
    go_on_until(
        steps, lambda event: isinstance(event, StrokesJoined)
    )  # of the class, not yet of strokes
    painter.paint(3, slice(100, 104), RIGHT)
    joined = go_on_until(steps, lambda event: isinstance(event, StrokesJoined))[-1]
    assert joined.n_pixels == 4 * 55
    assert joined.n_scored == 0  # what is shown does not know that class yet
    events = go_on_until(steps, lambda event: isinstance(event, Looked) and event.agreement > 0.97)
    shown = painted_by(events)
    assert (shown[BOTTOM, RIGHT] == 3).mean() > 0.8
    assert (shown[TOP, LEFT] == 1).mean() > 0.8
    model = finish(steps, stop)
    assert [each.name for each in model.card.classes] == ["dark", "bright", "brightest"]


def test_what_was_learned_last_is_shown_while_it_rests(painter, stop):
    steps = train_live(painter, request(), stop=stop)
    resting = go_on_until(steps, lambda event: isinstance(event, Resting))[-1]
    looked = go_on_until(steps, lambda event: isinstance(event, Looked))[-1]
    assert looked.done == resting.done >= REST_STEPS
    finish(steps, stop)


@pytest.mark.parametrize(("agreed", "n_rounds"), [(0.5, 6), (0.99, 1)])
def test_what_is_not_learned_gets_more_rounds(painter, monkeypatch, agreed, n_rounds):
    monkeypatch.setattr("napari_convnet.live.network.REST_STEPS", 2)
    monkeypatch.setattr("napari_convnet.live.network.suggest_epochs", lambda *_: 0)
    monkeypatch.setattr("napari_convnet.live.network.agreement", lambda *_: agreed)
    network = LiveNetwork(request(), samples(painter), torch.device("cpu"))
    [(inputs, targets)] = itertools.islice(
        network.samples.training_batches(4, torch.Generator(), augment=None), 1
    )
    for _ in range(2):  # then once more, when strokes join
        first = network.step
        while not network.rests():
            network.take(inputs, targets)
        assert network.rests()
        assert network.step - first == 2 * n_rounds
        network.learn_from(network.samples)


def test_the_rate_falls_until_it_rests_and_is_back_with_the_next_stroke(painter, monkeypatch):
    network = LiveNetwork(request(warm_up_steps=0), samples(painter), torch.device("cpu"))
    rates = []
    monkeypatch.setattr("napari_convnet.live.network.agreement", lambda *_: 1.0)
    while not network.rests():
        [(inputs, targets)] = itertools.islice(network.samples.training_batches(
            4, torch.Generator().manual_seed(network.step), augment=None
        ), 1)  # fmt: skip
        rates.append(network.take(inputs, targets)[1])
    assert len(rates) >= REST_STEPS
    assert rates[0] == rates[len(rates) // 4] == request().settings.learning_rate
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < 0.06 * rates[0]
    painter.paint(2, slice(30, 34), RIGHT)
    network.learn_from(samples(painter))
    assert not network.rests()
    assert network.take(inputs, targets)[1] == rates[0]


@pytest.mark.parametrize(
    ("now", "is_known"),
    [
        (("a", "b"), True),
        (("x", "b"), True),
        (("a", "b", "c"), True),
        (("b", "c"), False),
        (("b", "a"), False),
    ],
)
def test_only_renamed_and_added_classes_keep_their_values(painter, now, is_known):
    painter.name_classes("a", "b")
    network = LiveNetwork(request(), samples(painter), torch.device("cpu"))
    assert network.knows(make_classes(now)) == is_known


def test_classes_that_change_places_take_what_was_learned_with_them(painter, stop):
    steps = train_live(painter, request(), stop=stop)
    go_on_until(steps, lambda event: isinstance(event, Looked) and event.agreement > 0.99)
    painter.name_classes("bright", "dark")
    painter.paint(2, slice(10, 14), LEFT)
    painter.paint(1, slice(10, 14), RIGHT)
    joined = go_on_until(steps, lambda event: isinstance(event, StrokesJoined))[-1]
    assert joined.n_scored == 0  # painted over, but no correction
    look = go_on_until(steps, lambda event: isinstance(event, Looked))
    assert look[-1].agreement > 0.95
    assert (painted_by(look)[TOP, LEFT] == 2).mean() > 0.8
    finish(steps, stop)


def test_another_view_is_predicted_before_the_next_stroke_is_learned(painter, stop):
    other = bright_quarters(seed=5)
    painter.images[1] = other
    painter.painted[1] = np.zeros(other.shape, np.uint8)
    steps = train_live(painter, request(), stop=stop)
    go_on_until(steps, lambda event: isinstance(event, Looked))
    painter.look(1, slice(0, 40), slice(0, 40))
    events = go_on_until(steps, lambda event: isinstance(event, Looked))
    assert sum(isinstance(event, BatchFinished) for event in events) <= 1
    assert {event.key[0] for event in events if isinstance(event, LivePart)} == {1}
    finish(steps, stop)


def test_an_image_with_other_channels_is_not_predicted_and_training_goes_on(painter, stop):
    colour = CleanImage(np.zeros((3, 64, 64), np.float32), None, "colour")
    painter.images[1] = colour
    painter.painted[1] = np.zeros(colour.shape, np.uint8)
    steps = train_live(painter, request(), stop=stop)
    step = go_on_until(steps, lambda event: isinstance(event, Looked))[-1].done
    painter.look_at_all(1)
    events = go_on_until(steps, lambda event: event.done > step + 3)
    assert not any(isinstance(event, LivePart) for event in events)
    assert finish(steps, stop) is not None


def test_pausing_keeps_the_step_and_stop_ends_a_pause(painter, stop):
    pause = threading.Event()
    steps = train_live(painter, request(), stop=stop, pause=pause)
    go_on_until(steps, lambda event: event.done >= 3)
    pause.set()
    events = go_on_until(steps, lambda event: "paused" in event.text)
    assert next(steps).done == events[-1].done
    assert finish(steps, stop) is not None


def test_the_same_strokes_and_steps_give_the_same_weights(painter):
    def weights() -> dict:
        found = LiveNetwork(request(), samples(painter), device=torch.device("cpu"))
        random = torch.Generator().manual_seed(0)
        for inputs, targets in samples(painter).training_batches(4, random, augment=None):
            found.take(inputs, targets)
        return found.model({}).network.state_dict()

    first, second = weights(), weights()
    assert all((first[name] == second[name]).all() for name in first)


def test_invalid_numbers_step_back_and_end_it_only_when_they_stay(painter):
    network = LiveNetwork(request(), samples(painter), torch.device("cpu"))
    random = torch.Generator().manual_seed(0)
    inputs, targets = next(iter(samples(painter).training_batches(4, random, augment=None)))
    network.take(inputs, targets)
    loss, _ = network.take(inputs * torch.nan, targets)
    assert not np.isfinite(loss)
    assert np.isfinite(network.take(inputs, targets)[0])
    assert all(torch.isfinite(p).all() for p in network.averaged.parameters())
    for _ in range(3):
        network.take(inputs * torch.nan, targets)
    with pytest.raises(UserError, match="invalid at step") as caught:
        network.take(inputs * torch.nan, targets)
    assert caught.value.code == "CN-202"


def samples(painter: Painter):
    crops = PaintedCrops(32, ("grey",), request().normalisation)
    crops.update(painter.read())
    return crops.samples(painter.read())


def test_it_goes_on_from_a_model_with_its_classes_by_name(painter, stop):
    steps = train_live(painter, request(), stop=stop)
    go_on_until(steps, lambda event: isinstance(event, Looked) and event.agreement > 0.99)
    model = finish(steps, stop)
    again, stop_again = replace(request(), initial_model=model), threading.Event()
    steps = train_live(painter, again, stop=stop_again)
    look = go_on_until(steps, lambda event: isinstance(event, Looked))[-1]
    assert look.agreement > 0.9
    card = finish(steps, stop_again).card
    assert card.scores["started_from"]["classes_kept"] == ["dark", "bright"]


def test_what_was_learned_survives_an_error(painter, stop):
    steps = train_live(painter, request(), stop=stop)
    go_on_until(steps, lambda event: event.done >= 3)

    def read():
        raise MemoryError("no memory")

    painter.read = read
    painter.version += 1
    with pytest.raises(TrainingInterrupted) as caught:
        go_on_until(steps, lambda event: False)
    assert isinstance(caught.value.__cause__, MemoryError)
    assert caught.value.model.card.scores["steps"] >= 3


def test_invalid_numbers_end_it_with_the_last_good_model(painter, stop, monkeypatch):
    monkeypatch.setattr("napari_convnet.training.stepper._EXPLODED", -1.0)  # any loss is too high
    steps = train_live(painter, request(), stop=stop)
    events = go_on_until(steps, lambda event: isinstance(event, StoppedEarly))
    assert sum(isinstance(event, BatchFinished) for event in events) == 3
    with pytest.raises(StopIteration) as end:
        next(steps)
    scores = end.value.value.card.scores
    assert scores["ended_by"] == "invalid numbers"
    assert "learning rate" in scores["warning"]
