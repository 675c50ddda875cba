"""The instant preview in the dock: it follows real strokes and the view, and leaves nothing behind."""

from __future__ import annotations

import threading

import dask.array as da
import numpy as np
import pytest
from dock_helpers import press
from qtpy.QtCore import Qt

from napari_convnet.instant import FeatureStore, feature_store
from napari_convnet.project import Project
from napari_convnet.widgets.layers import class_layer_data, layer_id, mark_of
from napari_convnet.widgets.placement import placement_of
from napari_convnet.widgets.training_data import collect_planes


def open_segment(desk):
    """Open the dock for painting with the preview on; return dock and brush."""
    dock = desk.open_dock("Annotate")
    press(dock.task_buttons["segment"])
    tool = desk.use_tool(dock, "paint_strokes")
    press(dock.instant_preview.button)
    return dock, tool


def wait(desk, dock) -> None:
    """Wait until nothing is computed and nothing is due."""
    preview = dock.instant_preview
    desk.qtbot.waitUntil(
        lambda: not preview._timer.isActive() and preview.computing.state == "idle", timeout=60_000
    )


def states_of(preview) -> list[str]:
    """Return a list that every state is added to: a job may be over between two looks."""
    states = []
    preview.computing.changed.connect(lambda: states.append(preview.computing.state))
    return states


def overlays(viewer) -> list:
    return [layer for layer in viewer.layers if mark_of(layer).get("kind") == "instant-preview"]


def paint(desk, tool, value, ends) -> None:
    desk.choose_class(value)
    desk.stroke(tool.layer, ends)


@pytest.fixture
def halves(desk):
    """A dark and a bright half, with noise, of 0.5 micrometres a pixel and turned."""
    image = np.random.default_rng(0).normal(100, 10, (300, 400))
    image[:, 200:] += 100
    desk.viewer.add_image(image, name="halves", scale=(0.5, 0.5), translate=(30, -20), rotate=10)
    return image


def test_strokes_become_a_mask_that_lies_on_its_image(desk, halves):
    dock, tool = open_segment(desk)
    preview = dock.instant_preview
    wait(desk, dock)
    assert "two classes" in preview.words.text()
    paint(desk, tool, 1, [(100, 50), (120, 90)])
    wait(desk, dock)
    assert "another class" in preview.words.text()
    paint(desk, tool, 2, [(100, 300), (120, 340)])
    wait(desk, dock)
    [overlay] = overlays(desk.viewer)
    found = np.asarray(overlay.data)
    assert found.shape == halves.shape
    assert (found[:, :190] == 1).mean() > 0.97
    assert (found[:, 210:] == 2).mean() > 0.97
    painted = tool.layer.data > 0
    assert (found[painted] == tool.layer.data[painted]).all()
    assert f"{np.count_nonzero(painted)} painted pixels" in preview.words.text()
    image = desk.viewer.layers["halves"]
    np.testing.assert_allclose(overlay.data_to_world((7, 9)), image.data_to_world((7, 9)))
    # The brush stays in the hand, and the preview is below what is painted.
    assert desk.viewer.layers.selection.active == tool.layer
    assert desk.viewer.layers.index(overlay) < desk.viewer.layers.index(tool.layer)
    assert desk.messages == []


def test_another_stroke_changes_it_and_undo_changes_it_back(desk, halves):
    dock, tool = open_segment(desk)
    paint(desk, tool, 1, [(100, 50), (120, 90)])
    paint(desk, tool, 2, [(100, 300), (120, 340)])
    wait(desk, dock)
    [overlay] = overlays(desk.viewer)
    before = np.array(overlay.data)
    assert (before[:, 210:] == 2).mean() > 0.97
    paint(desk, tool, 1, [(20, 250), (280, 250), (280, 380), (20, 380)])
    wait(desk, dock)
    assert (overlay.data[:, 210:] == 2).mean() < 0.9
    desk.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    wait(desk, dock)
    np.testing.assert_array_equal(overlay.data, before)


def test_the_preview_is_no_annotation_and_no_image(desk, halves):
    dock, tool = open_segment(desk)
    paint(desk, tool, 1, [(100, 50), (120, 90)])
    paint(desk, tool, 2, [(100, 300), (120, 340)])
    wait(desk, dock)
    [overlay] = overlays(desk.viewer)
    n_painted = np.count_nonzero(tool.layer.data)
    [plane] = collect_planes(desk.session)
    assert np.count_nonzero(plane.painted) == n_painted
    picker = dock.picker
    listed = [picker.images.item(k).text() for k in range(picker.images.count())]
    assert listed == ["halves"]
    assert picker.cells.findData(layer_id(overlay)) < 0
    desk.viewer.layers.remove(desk.viewer.layers["halves"])
    assert overlays(desk.viewer) == []


def test_switched_off_or_closed_it_is_gone_and_no_thread_is_left(desk, halves):
    before = set(
        threading.enumerate()
    )  # other libraries keep pools for as long as the process lives
    dock, tool = open_segment(desk)
    preview = dock.instant_preview
    paint(desk, tool, 1, [(100, 50), (120, 90)])
    paint(desk, tool, 2, [(100, 300), (120, 340)])
    wait(desk, dock)
    desk.key(Qt.Key.Key_I)
    assert not preview.button.isChecked()
    assert overlays(desk.viewer) == []
    states = states_of(preview)
    preview._store = FeatureStore()  # so that there is something to compute when the dock is closed
    desk.key(Qt.Key.Key_I)
    desk.qtbot.waitUntil(lambda: "running" in states, timeout=60_000)
    desk.close_dock(dock)
    assert overlays(desk.viewer) == []
    desk.wait_until_idle()
    new = set(threading.enumerate()) - before
    assert [thread for thread in new if "ThreadPoolExecutor" in thread.name] == []


def test_a_job_that_outlives_its_image_leaves_nothing_in_the_store(desk, halves, monkeypatch):
    is_in, may_go, read = threading.Event(), threading.Event(), feature_store.read_features

    def wait_and_read(*arguments):
        is_in.set()
        assert may_go.wait(60)
        return read(*arguments)

    monkeypatch.setattr(feature_store, "read_features", wait_and_read)
    dock, tool = open_segment(desk)
    paint(desk, tool, 1, [(100, 50), (120, 90)])
    paint(desk, tool, 2, [(100, 300), (120, 340)])
    desk.qtbot.waitUntil(is_in.is_set, timeout=60_000)
    preview = dock.instant_preview
    images = preview._store._images
    assert images
    desk.viewer.layers.remove(desk.viewer.layers["halves"])
    assert preview.computing.state == "stopping"
    may_go.set()
    wait(desk, dock)
    assert (preview._store.n_bytes, preview._store.n_painted_bytes) == (0, 0)
    assert not any(preview._store.is_open(key) for key in images)


def test_to_look_elsewhere_reads_no_strokes_again(desk, halves, monkeypatch):
    reads, read = [], Project.painted_tiles

    def note_and_read(project, *arguments):
        reads.append(arguments)
        return read(project, *arguments)

    monkeypatch.setattr(Project, "painted_tiles", note_and_read)
    dock, tool = open_segment(desk)
    preview = dock.instant_preview
    paint(desk, tool, 1, [(100, 50), (120, 90)])
    paint(desk, tool, 2, [(100, 300), (120, 340)])
    wait(desk, dock)
    assert reads
    reads.clear()
    states = states_of(preview)
    desk.viewer.scene.camera.zoom *= 2
    wait(desk, dock)
    assert "running" in states
    assert reads == []
    paint(desk, tool, 2, [(150, 210), (150, 240)])
    wait(desk, dock)
    assert len(reads) > 0
    assert f"{np.count_nonzero(tool.layer.data)} painted pixels" in preview.words.text()


def test_the_mask_of_a_network_takes_its_place(desk, halves):
    dock, tool = open_segment(desk)
    paint(desk, tool, 1, [(100, 50), (120, 90)])
    paint(desk, tool, 2, [(100, 300), (120, 340)])
    wait(desk, dock)
    image = desk.viewer.layers["halves"]
    mask = np.ones(halves.shape, np.uint8)
    data, arguments, _ = class_layer_data(
        mask, desk.session.classes, placement_of(image), name="mask", kind="predicted-mask",
        source=layer_id(image),
    )  # fmt: skip
    layer = desk.viewer.add_labels(data, **arguments)
    assert overlays(desk.viewer) == []
    assert "network" in dock.instant_preview.words.text()
    press(dock.instant_preview.button)
    wait(desk, dock)
    assert len(overlays(desk.viewer)) == 1
    layer.data = mask.copy()
    assert overlays(desk.viewer) == []


def test_of_a_huge_image_only_tiles_in_view_are_read_and_the_preview_follows(desk):
    side, read = 20_000, []

    def block(block_info=None):
        (top, bottom), (left, right) = block_info[None]["array-location"]
        read.append((top, left))
        rows, columns = np.mgrid[top:bottom, left:right]
        return ((rows // 64 + columns // 64) % 2 * 200 + rows % 7).astype(np.uint8)

    image = da.map_blocks(block, chunks=((500,) * 40, (500,) * 40), dtype=np.uint8)
    # A small pyramid, as napari itself would read all of one level to draw it zoomed out.
    small = np.zeros((side // 50, side // 50), np.uint8)
    layer = desk.viewer.add_image(
        [image, small], multiscale=True, name="slide", contrast_limits=(0, 255)
    )
    dock, tool = open_segment(desk)

    def look_at(row, column):
        desk.viewer.scene.camera.center = (0, row, column)
        desk.viewer.scene.camera.zoom = 2
        desk.qtbot.waitUntil(
            lambda: not tool.region.is_left_by((row, column), (side, side)), timeout=60_000
        )
        wait(desk, dock)

    look_at(5056, 5056)
    top, left = tool.region.origin
    for value, column in ((1, 5088), (2, 5152)):  # in the middles of two squares
        paint(
            desk, tool, value, [(5080 - top, column - 20 - left), (5096 - top, column + 20 - left)]
        )
    read.clear()
    wait(desk, dock)

    def read_elsewhere(row, column):
        """Return what was read neither near a place nor for the sample on a grid of 4 x 4 blocks."""
        sampled = {k // 1000 for k in np.linspace(0, side - 128, 4).astype(int)}
        return [
            (top, left) for top, left in set(read)
            if max(abs(top + 250 - row), abs(left + 250 - column)) > 1500
            and not {top // 1000, left // 1000} <= sampled
        ]  # fmt: skip

    [overlay] = overlays(desk.viewer)
    assert read_elsewhere(5056, 5056) == []

    def shown_at(row, column):
        place = overlay.world_to_data(layer.data_to_world((row, column)))
        return int(np.asarray(overlay.data)[tuple(np.round(place).astype(int))])

    assert (shown_at(5088, 5088), shown_at(5088, 5152)) == (1, 2)
    read.clear()
    look_at(15_072, 15_072)
    assert read_elsewhere(15_072, 15_072) == []
    # Squares of 64 pixels take turns, and their middles are told apart here as well.
    assert {shown_at(15_072, 15_072), shown_at(15_072, 15_072 + 64)} == {1, 2}
