"""A napari that trains, pauses and waits to be killed: ``python train_until_killed.py PROJECT``."""

from __future__ import annotations

import sys
from pathlib import Path

from annotate_until_killed import PLACES, Waiting, make_image
from dock_helpers import Desk, press

EPOCHS = 10


def prepare(desk: Desk, project: Path):
    """Show the image and its cells in the viewer, open or make the project, and return both docks."""
    image, labels = make_image()
    desk.viewer.add_image(image, name="image")
    desk.viewer.add_labels(labels, name="cells")
    annotate, train = desk.open_dock("Annotate"), desk.open_dock("Train")
    session = desk.session
    (session.open_project if project.exists() else session.new_project)(project)
    return annotate, train


def main(project: str) -> None:
    """Annotate 40 cells, train, pause after some epochs, and say so."""
    import napari

    desk = Desk(napari.Viewer(), Waiting(), [])
    annotate, train = prepare(desk, Path(project))
    tool = desk.use_tool(annotate, "click_cells")
    for k in range(40):
        tool.annotate_at(tool.labels.data_to_world(PLACES[3 * k]), 1 + k % 2)
    train.form.epochs.setValue(EPOCHS)
    press(train.train_button)
    desk.qtbot.waitUntil(lambda: len(train.live.rows) >= 3)
    press(train.pause_button)  # its state is kept now, not within 20 s
    desk.qtbot.waitUntil(lambda: "paused" in train.time_line.text())
    print("paused", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
