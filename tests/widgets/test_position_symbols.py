"""What the picture of positions costs and shows: one row for one mark, and nothing where nothing is marked."""

from __future__ import annotations

import numpy as np
import pytest
from dock_helpers import press

from napari_convnet.widgets.position_tool import PositionTool


@pytest.fixture
def tool(desk):
    """The position tool on three black frames, of which the second has 40 positions."""
    film = np.zeros((3, 120, 160), np.uint8)
    desk.viewer.add_image(film, name="film", axis_labels=("t", "y", "x"), scale=(1, 0.5, 0.5))
    desk.viewer.dims.set_current_step(0, 0)
    dock = desk.open_dock("Annotate")
    press(dock.task_buttons["locate"])
    tool = desk.use_tool(dock, "mark_positions")
    for k in range(40):
        tool.mark_at((10.0 + k, 2.0 * k + 5), (1,))
    return tool


def n_coloured(desk, tool) -> int:
    """Return how many pixels of the picture the layer of positions changes."""
    desk.viewer.show()  # a window that was never shown draws nothing
    desk.qtbot.wait(50)
    shown = desk.viewer.screenshot(flash=False).astype(int)
    tool.layer.opacity = 0
    hidden = desk.viewer.screenshot(flash=False)
    tool.layer.opacity = 1
    return int((np.abs(shown - hidden).max(axis=-1) > 8).sum())


def test_a_plane_shows_symbols_only_where_positions_are(desk, tool):
    counts = []
    for frame in range(3):
        desk.viewer.dims.set_current_step(0, frame)
        counts.append(n_coloured(desk, tool))
    assert counts[0] == counts[2] == 0
    assert counts[1] > 40
    desk.viewer.dims.set_current_step(0, 0)
    tool.mark_at((60.0, 80.0), (0,))
    assert n_coloured(desk, tool) > 0
    desk.session.undo()
    assert n_coloured(desk, tool) == 0


def test_symbols_are_legible_from_afar(desk, tool):
    desk.viewer.dims.set_current_step(0, 1)
    for position in tool.positions()[1:]:
        tool.remove_at(position.centre, (1,))
    desk.viewer.scene.camera.zoom = 0.2  # a pixel of the image is a tenth of one on the screen
    assert n_coloured(desk, tool) >= 20


def test_one_step_changes_one_row_and_not_the_whole_table(desk, tool, monkeypatch):
    remade, show = [], PositionTool._show
    monkeypatch.setattr(
        PositionTool, "_show", lambda tool, layer: remade.append(layer) or show(tool, layer)
    )
    desk.session.add_class("speck")
    remade.clear()  # the colours were asked for
    tool.layer.selected_data = {39}
    tool.mark_at((100.0, 100.0), (1,))
    tool.remove_at(tool.positions()[7].centre, (1,))
    tool.move_to(tool.positions()[3], (90.0, 20.0))
    desk.session.undo()
    desk.session.undo()
    desk.session.redo()
    assert remade == []
    positions, layer = tool.positions(), tool.layer
    assert layer.data.tolist() == [[*each.plane, *each.centre] for each in positions]
    assert layer.features["position"].tolist() == [each.id for each in positions]
    assert len(layer.features) == len(layer.size) == len(layer.border_color) == 40
    assert not layer.selected_data
