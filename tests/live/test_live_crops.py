"""The crops that live training learns from: they follow the strokes, and nothing is read twice."""

from __future__ import annotations

import numpy as np
from live_helpers import Painter, bright_quarters

from napari_convnet.images import CleanImage, Normalisation
from napari_convnet.live.crops import PaintedCrops

PERCENTILES = Normalisation("percentiles")


def test_new_pixels_are_those_painted_since_and_painted_over():
    painter, crops = Painter(bright_quarters()), PaintedCrops(32, ("grey",), PERCENTILES)
    painter.paint(1, slice(10, 12), slice(10, 30))
    assert [np.count_nonzero(part.labels) for part in crops.update(painter.read())] == [40]
    assert crops.samples(painter.read()) is None  # one class tells nothing apart
    painter.paint(2, slice(11, 12), slice(20, 40))
    [new] = crops.update(painter.read())
    assert np.count_nonzero(new.labels == 2) == np.count_nonzero(new.labels) == 20
    assert crops.update(painter.read()) == []
    samples = crops.samples(painter.read())
    np.testing.assert_array_equal(samples.targets[0], painter.painted[0].astype(int) - 1)
    assert samples.n_validation == 0
    painter.paint(0, slice(10, 12), slice(10, 15))
    assert crops.update(painter.read()) == []  # what is rubbed out teaches nothing
    assert (crops.samples(painter.read()).targets[0][10:12, 10:15] == -1).all()


def test_a_plane_is_read_once_and_normalised_by_itself():
    painter = Painter(bright_quarters(), bright_quarters(seed=1))
    crops = PaintedCrops(32, ("grey",), PERCENTILES)
    painter.paint(1, slice(10, 12), slice(10, 30))
    painter.paint(2, slice(70, 72), slice(70, 90))
    crops.update(painter.read())
    painter.paint(2, slice(20, 22), slice(70, 90), key=1)
    crops.update(painter.read())
    assert painter.opened == [0, 1]
    assert crops.n_planes == 2
    expected = PERCENTILES.apply(painter.images[1].pixels)
    np.testing.assert_allclose(crops.samples(painter.read()).images[1], expected, atol=1e-5)


def test_of_a_large_plane_only_what_lies_around_the_strokes_is_kept():
    image = CleanImage(np.random.default_rng(0).random((1, 1500, 1500), np.float32), None, "large")
    painter, crops = Painter(image), PaintedCrops(32, ("grey",), PERCENTILES)
    painter.paint(1, slice(300, 302), slice(300, 320))
    painter.paint(2, slice(1400, 1402), slice(1490, 1500))
    crops.update(painter.read())
    samples = crops.samples(painter.read())
    assert sorted(each.shape[1:] for each in samples.images) == [(252, 252), (320, 320)]
    assert sum(int((each >= 0).sum()) for each in samples.targets) == 2 * 20 + 2 * 10
    scaled = PERCENTILES.apply(image.pixels)
    np.testing.assert_allclose(samples.images[0][0], scaled[0, 224:544, 224:544], atol=1e-5)


def test_images_with_other_channels_are_left_out_with_a_reason():
    colour = CleanImage(np.zeros((3, 64, 64), np.float32), None, "colour")
    painter, crops = Painter(bright_quarters(), colour), PaintedCrops(32, ("grey",), PERCENTILES)
    painter.paint(1, slice(0, 5), slice(0, 5))
    painter.paint(2, slice(90, 95), slice(0, 5))
    painter.paint(2, slice(0, 5), slice(0, 5), key=1)
    assert {part.image for part in crops.update(painter.read())} == {(0, 0)}
    [note] = crops.notes
    assert "'colour' has 3 channels, not 1" in note


def test_what_was_learned_is_not_new_again_after_reopening_or_undo():
    painter, crops = Painter(bright_quarters()), PaintedCrops(32, ("grey",), PERCENTILES)
    painter.paint(1, slice(10, 12), slice(10, 30))
    crops.update(painter.read())
    painter.reopen()
    assert crops.update(painter.read()) == []
    painter.paint(0, slice(10, 12), slice(10, 30))
    crops.update(painter.read())
    painter.paint(1, slice(10, 12), slice(10, 30))
    assert crops.update(painter.read()) == []
    painter.paint(2, slice(10, 12), slice(10, 30))
    assert [np.count_nonzero(part.labels) for part in crops.update(painter.read())] == [40]


def test_of_too_many_tiles_the_first_are_learned(monkeypatch):
    monkeypatch.setattr("napari_convnet.live.crops._MOST_PARTS", 2)
    image = CleanImage(np.random.default_rng(0).random((1, 1100, 1100), np.float32), None, "large")
    painter, crops = Painter(image), PaintedCrops(32, ("grey",), PERCENTILES)
    for k in range(4):
        painter.paint(1 + k % 2, slice(10, 12), slice(256 * k + 10, 256 * k + 20))
    assert [part.origin for part in crops.update(painter.read())] == [(0, 0), (0, 256)]
    assert len(crops.samples(painter.read()).images) == 2
    assert "2 painted parts are left out" in crops.notes[0]
