"""What the preview keeps: which images it opens again, and how many bytes the painted pixels really take."""

from __future__ import annotations

import gc
import tracemalloc
from contextlib import contextmanager

import numpy as np
from preview_helpers import compute, in_memory, request

from napari_convnet.errors import UserError
from napari_convnet.instant import (
    TILE,
    FeatureStore,
    PaintedPixels,
    PreviewLearned,
    fit_classifier,
    split_strokes,
)
from napari_convnet.instant.classifier import PIXELS_PER_CLASS


def halves(n_channels: int, name: str, side: int = 60):
    """A dark and a bright half."""
    pixels = np.random.default_rng(0).normal(0, 1, (n_channels, side, side))
    pixels[:, :, side // 2 :] += 9
    return in_memory(pixels, name=name)


def two_strokes() -> np.ndarray:
    strokes = np.zeros((60, 60), np.uint8)
    strokes[5:9, 5:20], strokes[5:9, 40:55] = 1, 2
    return strokes


def learned_of(events) -> PreviewLearned:
    [learned] = [event for event in events if isinstance(event, PreviewLearned)]
    return learned


def is_right(full: np.ndarray) -> bool:
    return bool((full[:, :25] == 1).all() and (full[:, 35:] == 2).all())


def test_in_a_project_of_grey_and_colour_images_each_learns_from_its_kind():
    images = {"grey": halves(1, "grey"), "colour": halves(3, "colour")}
    store, strokes = FeatureStore(), dict.fromkeys(images, two_strokes())
    for shown, other in (("grey", "colour"), ("colour", "grey"), ("grey", "colour")):
        _, full, events = compute(request(images, strokes, shown), store)
        learned = learned_of(events)
        assert is_right(full), shown
        assert (learned.n_images, learned.n_pixels) == (1, 2 * 4 * 15)
        assert f"'{other}' is left out" in learned.notes[0]
    # Also where the strokes of the other kind are known already.
    for shown in images:
        compute(request(images, {shown: strokes[shown]}, shown), store)
        compute(request(images, strokes, shown), store)


def test_an_image_that_is_left_out_is_opened_once():
    opened = []

    def open_colour():
        opened.append("colour")
        return halves(3, "colour")

    def open_lost():
        opened.append("lost")
        raise UserError("CN-627", "The file of 'lost' is gone.")

    store, strokes = FeatureStore(), two_strokes()
    for row in (20, 30, 40):
        strokes = strokes.copy()
        strokes[row, 5:20] = 1
        asked = request({"grey": halves(1, "grey")}, {"grey": strokes}, "grey")
        asked.images.update(colour=open_colour, lost=open_lost)
        for key in ("colour", "lost"):
            asked.painted.extend(split_strokes(key, strokes))
        _, full, events = compute(asked, store)
        assert is_right(full)
        assert len(learned_of(events).notes) == 2
    assert sorted(opened) == ["colour", "lost"]
    # It is no verdict for good: shown itself, the image is opened and learned from.
    asked = request({"colour": halves(3, "colour")}, {"colour": two_strokes()}, "colour")
    assert is_right(compute(asked, store)[1])


@contextmanager
def memory():
    """Yield a function that returns the bytes now and at the most that are held more than before."""
    gc.collect()
    tracemalloc.start()
    try:
        yield tracemalloc.get_traced_memory
    finally:
        tracemalloc.stop()


def filled(n_tiles: int):
    """An image of so many tiles in a row, painted all over, with two classes in each, and its pixels."""
    pixels = np.random.default_rng(0).normal(0, 1, (1, TILE, n_tiles * TILE))
    strokes = np.full(pixels.shape[1:], 1, np.uint8)
    strokes[TILE // 2 :] = 2
    pixels[:, strokes == 2] += 9
    return in_memory(pixels), strokes


#: Features, value and stroke of a pixel of one channel, in bytes.
PIXEL_BYTES = 27 * 4 + 1 + 4


def test_of_painted_areas_no_more_is_kept_than_is_learned_from():
    image, strokes = filled(3)
    store, parts = FeatureStore(most_bytes=1), split_strokes("a", strokes)
    with memory() as held:
        store.image("a", lambda: image)
        for part in parts:
            store.painted(part)
        gc.collect()
        kept = held()[0] - store.n_bytes
        most = 3 * 2 * PIXELS_PER_CLASS * PIXEL_BYTES
        assert store.n_painted_bytes == most
        assert kept < 1.2 * most, "all of it would be ten times as much"
    classifier = fit_classifier([store.painted(part) for part in parts])
    assert classifier.n_pixels == strokes.size
    _, full, _ = compute(request({"a": image}, {"a": strokes}, "a"), store)
    assert (full == strokes).mean() > 0.99


def test_of_very_many_tiles_fewer_pixels_of_each_are_kept_until_there_is_room():
    image, strokes = filled(3)
    most = 1_000_000
    store = FeatureStore(most_painted_bytes=most)
    _, full, events = compute(request({"a": image}, {"a": strokes}, "a"), store)
    assert (full == strokes).mean() > 0.99
    assert learned_of(events).n_pixels == strokes.size
    assert most / 4 < store.n_painted_bytes <= most
    fewer = np.zeros_like(strokes)
    fewer[:40, :40], fewer[200:240, :40] = 1, 2
    compute(request({"a": image}, {"a": fewer}, "a"), store)
    assert store.n_painted_bytes < most / 2
    strokes[:, TILE:] = 0  # only the first tile as before, which had been thinned
    strokes[10:240, :250] = 0
    kept = FeatureStore(most_painted_bytes=20 * most)
    same = [compute(request({"a": image}, {"a": strokes}, "a"), each)[1] for each in (store, kept)]
    np.testing.assert_array_equal(*same)


def test_of_a_tile_a_long_stroke_takes_no_place_from_a_short_one():
    image, strokes = filled(1)
    strokes[100:156] = 0
    strokes[120, 20:90] = 1
    [part] = split_strokes("a", strokes)
    store = FeatureStore()
    store.image("a", lambda: image)
    found = store.painted(part)
    ones = found.strokes[found.values == 1]
    assert sorted(np.unique(ones, return_counts=True)[1]) == [70, PIXELS_PER_CLASS - 70]


def test_to_learn_copies_only_the_pixels_that_are_chosen():
    n, random = 20_000, np.random.default_rng(0)
    parts = [
        PaintedPixels(
            random.normal(value, 1, (n, 27)).astype(np.float32),
            np.full(n, value, np.uint8), np.zeros(n, np.int32),
        )
        for value in (1, 2) * 5
    ]  # fmt: skip
    fit_classifier(parts)  # what is imported does not count
    with memory() as held:
        assert fit_classifier(parts).n_pixels == 10 * n
        assert held()[1] < sum(part.features.nbytes for part in parts) / 2
