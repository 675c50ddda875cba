"""The key N: the view goes to a cell without a class, or a place without patches or strokes."""

from __future__ import annotations

import numpy as np
import pytest

from napari_convnet.sample_data import read_sample
from napari_convnet.widgets.layers import mark_of
from napari_convnet.widgets.next_to_label import NextToLabel


@pytest.fixture
def said():
    return []


@pytest.fixture
def jumper(desk, said):
    jumper = NextToLabel(None, desk.session, said.append)
    yield jumper
    jumper.release()
    assert mark_in(desk.viewer) is None


def mark_in(viewer):
    found = [layer for layer in viewer.layers if mark_of(layer).get("kind") == "next-to-label"]
    assert len(found) <= 1
    return found[0] if found else None


def looked_at(desk, layer):
    """Return the data position (row, column) in the middle of the view."""
    world = np.array(desk.viewer.dims.point, float)
    world[-2:] = desk.viewer.scene.camera.center[-2:]
    return np.array(layer.world_to_data(world))


def is_in_view(desk, layer, place) -> bool:
    away = layer.data_to_world(place)[-2:] - np.array(desk.viewer.scene.camera.center[-2:])
    half = np.array(desk.viewer.canvas.size) / desk.viewer.scene.camera.zoom / 2
    return bool((np.abs(away) <= half).all())


def test_it_goes_to_cells_without_a_class_until_none_is_left(desk, jumper, said):
    sample = read_sample("blood_smear_1")
    desk.viewer.add_image(sample.image, rgb=True, scale=(0.2, 0.2), rotate=30)
    small = np.where(sample.labels <= 12, sample.labels, 0)
    desk.viewer.add_labels(small, name="cells", scale=(0.2, 0.2), rotate=30)
    tool = desk.use_tool(desk.open_dock("Annotate"), "click_cells")
    n_cells = len(tool.image.objects)
    seen = []
    for step in range(n_cells):
        jumper.jump()
        assert desk.session.active_tool.is_selected
        mark = mark_in(desk.viewer)
        assert mark.visible
        place = mark.data[0]
        assert is_in_view(desk, mark, place)
        distances = [np.hypot(*(np.subtract(tool.image.objects.centre(int(k)), place))) for k in
                     tool.image.objects.labels]  # fmt: skip
        label = int(tool.image.objects.labels[np.argmin(distances)])
        seen.append(label)
        assert said[-1].startswith(f"One of up to {n_cells - step} cells")
        voxel = [axis[0] for axis in tool.image.objects.pixels(label, small)]
        tool.annotate_at(tool.labels.data_to_world(voxel), 1)
        assert not mark_in(desk.viewer).visible
    assert sorted(seen) == sorted(set(seen))
    jumper.jump()
    assert said[-1].startswith(f"All {n_cells} cells here are annotated")
    desk.session.undo()
    jumper.jump()
    assert said[-1].startswith("One of up to 1 cells")


def test_the_cell_and_its_surroundings_are_seen(desk, jumper):
    sample = read_sample("blood_smear_1")
    desk.viewer.add_image(sample.image, rgb=True)
    desk.viewer.add_labels(sample.labels, name="cells")
    tool = desk.use_tool(desk.open_dock("Annotate"), "click_cells")
    desk.viewer.scene.camera.zoom = 0.01
    jumper.jump()
    pixels = 40 * desk.viewer.scene.camera.zoom  # a cell is about 40 wide
    assert 0.05 < pixels / min(desk.viewer.canvas.size) < 0.3
    zoom = desk.viewer.scene.camera.zoom
    tool.session.annotations_changed.emit()
    jumper.jump()
    assert desk.viewer.scene.camera.zoom == pytest.approx(zoom)


def test_cells_of_a_stack_bring_their_plane_along(desk, jumper):
    sample = read_sample("nuclei_stack")
    desk.viewer.add_image(sample.image, scale=sample.scale, axis_labels=("z", "y", "x"))
    desk.viewer.add_labels(sample.labels, name="cells", scale=sample.scale)
    tool = desk.use_tool(desk.open_dock("Annotate"), "click_cells")
    planes = set()
    for _ in range(5):
        jumper.jump()
        plane = round(looked_at(desk, tool.labels)[0])
        assert abs(mark_in(desk.viewer).data[0][0] - plane) <= 0.5
        planes.add(plane)
    assert len(planes) > 1


def test_patches_and_strokes_lead_to_places_without_them(desk, jumper, said):
    desk.viewer.add_image(np.random.default_rng(0).normal(size=(300, 500)), name="image")
    dock = desk.open_dock("Annotate")
    tool = desk.use_tool(dock, "pick_patches")
    tool.size = 30
    places = []
    for _ in range(15):
        jumper.jump()
        places.append(looked_at(desk, tool.layer))
        tool.pick_at(tuple(places[-1]))
    assert len({tuple(np.floor(place / [100, 100]).astype(int)) for place in places}) == 15
    jumper.jump()
    assert said[-1].startswith("All 15 places here are annotated")
    tool = desk.use_tool(dock, "paint_strokes")
    jumper.jump()
    row, column = looked_at(desk, tool.layer).astype(int)
    tool.layer.data_setitem((np.full(9, row), column + np.arange(9)), 1)
    left = int(said[-1].split()[4])
    jumper.jump()
    assert int(said[-1].split()[4]) == left - 1


def test_without_a_tool_it_says_what_to_do(desk, jumper):
    jumper.jump()
    assert "Choose a tool, such as Click cells" in desk.messages[-1]


def test_the_key_n_works_on_the_layer_of_a_tool(desk):
    sample = read_sample("blood_smear_1")
    desk.viewer.add_image(sample.image, rgb=True)
    desk.viewer.add_labels(sample.labels, name="cells")
    dock = desk.open_dock("Annotate")
    desk.use_tool(dock, "click_cells")
    desk.key(ord("N"))
    assert mark_in(desk.viewer).visible
    assert dock.status.text().startswith("One of up to 150 cells without annotation.")
    first = tuple(mark_in(desk.viewer).data[0])
    desk.key(ord("N"))
    assert tuple(mark_in(desk.viewer).data[0]) != first
    desk.close_dock(dock)
    assert mark_in(desk.viewer) is None


def test_near_a_border_the_view_ends_with_the_image(desk, jumper):
    pixels = np.zeros((900, 1200), np.float32)
    desk.viewer.add_image(pixels, name="image")
    dock = desk.open_dock("Annotate")
    tool = desk.use_tool(dock, "pick_patches")
    desk.viewer.scene.camera.zoom = 3
    corners = []
    for _ in range(12):
        jumper.jump()
        centre = np.array(desk.viewer.scene.camera.center[-2:])
        half = np.array(desk.viewer.canvas.size) / desk.viewer.scene.camera.zoom / 2
        assert (2 * half < pixels.shape).all()
        assert (centre - half >= -1).all()
        assert (centre + half <= np.array(pixels.shape) + 1).all()
        place = mark_in(desk.viewer).data[0]
        assert is_in_view(desk, mark_in(desk.viewer), place)
        corners.append(not np.allclose(place, centre, atol=1))
        tool.pick_at(tuple(place))
    assert any(corners)  # some place was near a border
