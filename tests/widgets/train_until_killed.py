"""A napari that trains until it is killed; run by `test_live_training`: ``python train_until_killed.py PROJECT``."""

from __future__ import annotations

import sys
from pathlib import Path

from annotate_until_killed import PLACES, Waiting, make_image
from dock_helpers import Desk, press

EPOCHS = 30


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
    """Annotate 40 cells, train, and tell each epoch that is kept."""
    import napari

    from napari_convnet.widgets import training_worker

    training_worker.KEEP_SECONDS = 0.0
    desk = Desk(napari.Viewer(), Waiting(), [])
    annotate, train = prepare(desk, Path(project))
    tool = desk.use_tool(annotate, "click_cells")
    for k in range(40):
        tool.annotate_at(tool.labels.data_to_world(PLACES[3 * k]), 1 + k % 2)
    train.form.epochs.setValue(EPOCHS)
    press(train.train_button)
    told = 0
    while True:
        desk.qtbot.wait(20)
        if len(train.live.rows) > told:
            told = len(train.live.rows)
            print(told, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
