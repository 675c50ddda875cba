"""The preview as a job: what it finds, that it can be stopped, and what it keeps."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from preview_helpers import compute, in_memory, request
from scipy import ndimage

from napari_convnet.demonstration.person import paint_strokes
from napari_convnet.errors import UserError
from napari_convnet.instant import (
    TILE,
    FeatureStore,
    PaintedPixels,
    PreviewLearned,
    PreviewPart,
    compute_features,
    fit_classifier,
    measure_scale,
    missing_strokes,
    preview_steps,
    split_strokes,
)
from napari_convnet.instant.classifier import PIXELS_PER_CLASS, number_strokes
from napari_convnet.sample_data import read_sample


def iou(truth, found) -> float:
    return (truth & found).sum() / (truth | found).sum()


#: Shares of the pixels that are painted, by class.
PAINTED_SHARES = {1: 0.010, 2: 0.007}
#: Side of the part of the sample images that is looked at: four tiles, of which three are not whole.
SIDE = 330


@pytest.fixture(scope="module")
def nuclei():
    """Nuclei 1 with simulated strokes, and nuclei 2 with its truth."""
    first, second = read_sample("nuclei_1"), read_sample("nuclei_2")
    truth = np.where(first.labels > 0, 2, 1)[:SIDE, :SIDE]
    strokes = paint_strokes(truth, PAINTED_SHARES, np.random.default_rng(0))
    images = [in_memory(sample.image[:, :SIDE, :SIDE]) for sample in (first, second)]
    return images[0], strokes, images[1], second.labels[:SIDE, :SIDE] > 0


def test_strokes_of_one_image_find_the_nuclei_of_another(nuclei):
    first, strokes, second, truth = nuclei
    asked = request({"first": first, "second": second}, {"first": strokes}, "second")
    coarse, full, events = compute(asked)
    assert iou(truth, full == 2) > 0.8
    assert iou(truth, coarse == 2) > 0.75
    [learned] = [event for event in events if isinstance(event, PreviewLearned)]
    assert (learned.n_pixels, learned.n_images) == (np.count_nonzero(strokes), 1)
    kinds = [event.is_coarse for event in events if isinstance(event, PreviewPart)]
    assert kinds == sorted(kinds, reverse=True), "all coarse tiles come before the full ones"


def test_tiles_say_what_the_whole_would(nuclei):
    first, strokes, _, _ = nuclei
    _, full, _ = compute(request({"first": first}, {"first": strokes}, "first"))
    pixels = measure_scale(first).apply(first.pixels)
    features = compute_features(pixels)
    numbers = number_strokes(strokes)
    parts = [
        PaintedPixels(
            features[rows, columns][labels > 0], labels[labels > 0],
            number_strokes(labels)[labels > 0] - 1,
        )
        for part in split_strokes("first", strokes)
        for labels in [part.labels]
        for rows, columns in [tuple(slice(o, o + n) for o, n in zip(part.origin, labels.shape, strict=True))]
    ]  # fmt: skip
    assert numbers.max() > 5
    whole = fit_classifier(parts).classes(features)
    assert (whole == full).mean() > 0.9999


def test_the_same_seed_gives_the_same_preview(nuclei):
    first, strokes, _, _ = nuclei
    window = (slice(0, 200), slice(0, 200))
    once, again, other = (
        compute(request({"first": first}, {"first": strokes}, "first", window, seed))[1]
        for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(once, again)
    assert (once != other).any()


def test_only_what_is_in_view_is_computed_and_its_middle_first(nuclei):
    first, strokes, _, _ = nuclei
    window = (slice(260, 330), slice(257, 300))
    _, full, events = compute(request({"first": first}, {"first": strokes}, "first", window))
    assert (full[TILE:, TILE:] > 0).all()
    assert not full[:TILE].any()
    wide = (slice(0, SIDE), slice(TILE + 1, SIDE))
    _, _, events = compute(request({"first": first}, {"first": strokes}, "first", wide))
    assert {e.origin[1] for e in events if isinstance(e, PreviewPart)} == {TILE}


def test_a_second_look_costs_no_features(nuclei, monkeypatch):
    first, strokes, _, _ = nuclei
    store, computed = FeatureStore(), []

    def note(image, scale, rows, columns, step=1):
        computed.append((rows.start, columns.start, step))
        return read(image, scale, rows, columns, step)

    import napari_convnet.instant.feature_store as module

    read = module.read_features
    monkeypatch.setattr(module, "read_features", note)
    asked = request({"first": first}, {"first": strokes}, "first")
    _, before, _ = compute(asked, store)
    assert computed
    computed.clear()
    _, same, events = compute(asked, store)
    np.testing.assert_array_equal(same, before)
    assert not [e for e in events if isinstance(e, PreviewLearned) and e.is_new]
    assert not [e for e in events if isinstance(e, PreviewPart) and e.is_coarse]
    more = strokes.copy()
    more[:4, :30] = 2
    _, other, _ = compute(request({"first": first}, {"first": more}, "first"), store)
    assert (other != before).any()
    assert computed == []


def test_memory_for_features_is_bounded(nuclei):
    first, strokes, _, _ = nuclei
    store = FeatureStore(most_bytes=10_000_000)
    _, full, _ = compute(request({"first": first}, {"first": strokes}, "first"), store)
    assert 0 < store.n_bytes <= 10_000_000
    _, roomy, _ = compute(request({"first": first}, {"first": strokes}, "first"))
    np.testing.assert_array_equal(full, roomy)


def test_a_stop_is_heard_between_tiles(nuclei):
    first, strokes, _, _ = nuclei
    stop, n_after = threading.Event(), 0
    steps = preview_steps(
        request({"first": first}, {"first": strokes}, "first"), FeatureStore(), stop
    )
    while True:
        try:
            event = next(steps)
        except StopIteration as end:
            result = end.value
            break
        n_after += stop.is_set()
        if isinstance(event, PreviewPart):
            stop.set()
    assert result is None
    assert n_after <= 1
    assert [t for t in threading.enumerate() if "ThreadPoolExecutor" in t.name] == []


def test_a_class_that_only_one_channel_shows_is_found():
    random = np.random.default_rng(0)
    pixels = random.normal(0, 1, (5, 200, 200))
    blobs = ndimage.gaussian_filter(random.normal(size=(2, 200, 200)), (0, 9, 9)) > 0.03
    pixels[1][blobs[0]] += 3
    pixels[4][blobs[1]] += 3
    truth = np.where(blobs[1], 3, np.where(blobs[0], 2, 1))
    strokes = paint_strokes(truth, {1: 0.02, 2: 0.02, 3: 0.02}, random)
    _, full, _ = compute(request({"a": in_memory(pixels)}, {"a": strokes}, "a"))
    assert min(iou(truth == k, full == k) for k in (1, 2, 3)) > 0.7


def test_one_class_is_refused_in_words():
    image, strokes = (
        in_memory(np.random.default_rng(0).normal(size=(1, 50, 50))),
        np.zeros((50, 50), np.uint8),
    )
    assert "two classes" in missing_strokes([])
    assert "another class" in missing_strokes([2])
    assert missing_strokes([1, 2]) == ""
    strokes[10:12, 10:30] = 2
    with pytest.raises(UserError, match="another class") as refusal:
        compute(request({"a": image}, {"a": strokes}, "a"))
    assert refusal.value.code == "CN-622"


def test_an_image_of_other_channels_or_that_cannot_be_read_is_left_out_and_named():
    random = np.random.default_rng(0)
    pixels = random.normal(0, 1, (1, 60, 60))
    pixels[:, :, 30:] += 9
    strokes = np.zeros((60, 60), np.uint8)
    strokes[5:9, 5:20], strokes[5:9, 40:55] = 1, 2
    images = {
        "a": in_memory(pixels),
        "b": in_memory(np.zeros((3, 60, 60)), name="in colour"),
        "c": None,
    }
    asked = request({k: v for k, v in images.items() if v}, dict.fromkeys("ab", strokes), "a")

    def refuse():
        raise UserError("CN-627", "The file of 'c' is gone.")

    asked.images["c"] = refuse
    asked.painted.extend(split_strokes("c", strokes))
    _, full, events = compute(asked)
    [learned] = [event for event in events if isinstance(event, PreviewLearned)]
    assert learned.n_images == 1
    assert "'in colour' is left out: it has 3 channels, not 1" in learned.notes[0]
    assert "file of 'c' is gone" in learned.notes[1]
    assert (full[:, :25] == 1).all()


def test_invalid_pixels_and_strokes_beside_the_image_teach_nothing():
    pixels = np.random.default_rng(0).normal(0, 1, (1, 60, 60))
    pixels[:, :, 30:] += 9
    invalid = np.zeros((60, 60), bool)
    invalid[40:50] = True
    strokes = np.zeros((TILE, TILE), np.uint8)  # as the project keeps them, in whole tiles
    strokes[5:9, 5:20], strokes[5:9, 40:55] = 1, 2
    strokes[42:44, 5:20], strokes[100:200, 100:200] = 2, 1
    _, full, events = compute(request({"a": in_memory(pixels, invalid)}, {"a": strokes}, "a"))
    [learned] = [event for event in events if isinstance(event, PreviewLearned)]
    assert learned.n_pixels == 2 * 4 * 15
    assert (full[:, :25] == 1).all()


def test_a_long_stroke_does_not_outweigh_short_ones():
    random = np.random.default_rng(0)
    long = PaintedPixels(
        random.normal(0, 1, (9 * PIXELS_PER_CLASS, 2)).astype(np.float32),
        np.ones(9 * PIXELS_PER_CLASS, np.uint8), np.zeros(9 * PIXELS_PER_CLASS, int),
    )  # fmt: skip
    short = PaintedPixels(
        random.normal(6, 1, (200, 2)).astype(np.float32), np.ones(200, np.uint8), np.zeros(200, int)
    )
    other = PaintedPixels(
        random.normal(3, 1, (600, 2)).astype(np.float32),
        np.full(600, 2, np.uint8),
        np.zeros(600, int),
    )
    classifier = fit_classifier([long, short, other])
    assert classifier.n_pixels == 9 * PIXELS_PER_CLASS + 800
    for place, value in (((0, 0), 1), ((6, 6), 1), ((3, 3), 2)):
        assert classifier.classes(np.array([place], np.float32))[0] == value
