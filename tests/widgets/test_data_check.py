"""The check of the data in the Train dock: real annotations and folders, what is told, what ends it."""

from __future__ import annotations

import numpy as np
import pytest
from dock_helpers import press
from qtpy.QtWidgets import QApplication, QFileDialog
from skimage.io import imsave

from napari_convnet.widgets.data_check import DataCheck, check_steps


@pytest.fixture
def checked(desk):
    """Return what presses *Check data…* and gives the window with what was found."""

    def press_check(train) -> DataCheck:
        press(train.form.check_button)
        window = train.findChildren(DataCheck)[-1]
        desk.qtbot.waitUntil(window.bar.isHidden, timeout=120_000)
        return window

    return press_check


def test_cells_that_were_clicked_are_checked(desk, checked):
    train = desk.open_train_with_cells(40)
    window = checked(train)
    assert window.status.text().startswith("2 things to look at in 1 image. Held out:")
    text = window.found.toPlainText()
    few, imbalance = text.split("Not found:")[0].split("Classes. ")[1:]
    assert few.startswith("Fewer than 10 samples to train on:")
    assert "times fewer" in imbalance
    assert "What to do: Annotate more" in few
    assert "held-out samples that look like training samples" in text.split("Not found:")[1]
    press(window.copy_button)
    assert QApplication.clipboard().text().startswith(window.status.text())
    train.form.patch_size.setValue(256)
    assert "a patch shows mostly what is around them" in checked(train).found.toPlainText()


def test_a_copy_in_a_folder_is_found(desk, checked, tmp_path, monkeypatch):
    random = np.random.default_rng(0)
    for name in ("even", "odd"):
        (tmp_path / "set" / name).mkdir(parents=True)
        for k in range(20):
            pixels = random.normal(90, 30, (24, 24)).clip(0, 250).astype(np.uint8)
            imsave(tmp_path / "set" / name / f"{name}{k}.png", pixels, check_contrast=False)
            if k == 7:  # not the same bytes, but the same picture
                for n in range(8):
                    path = tmp_path / "set" / name / f"copy{n}.png"
                    imsave(path, pixels + np.uint8(n + 1), check_contrast=False)
    train = desk.open_dock("Train")
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path / "set"))
    press(train.folder_panel.choose_button)
    desk.wait_until_idle()
    window = checked(train)
    assert "look the same as a training sample" in window.found.toPlainText()
    assert "in 56 images" in window.status.text()


def test_painted_pixels_are_checked_and_nothing_painted_is_told(desk, checked):
    annotate, train = desk.open_dock("Annotate"), desk.open_dock("Train")
    desk.open_sample("bacteria-1")
    press(annotate.task_buttons["segment"])
    press(train.form.check_button)
    assert desk.messages[-1].endswith("Paint strokes of at least 2 classes to train.")
    desk.paint_bacteria(annotate)
    window = checked(train)
    assert window.status.text().startswith("Nothing to complain about in 1 image. Held out:")
    assert "Not found:" in window.found.toPlainText()


def test_frames_of_a_film_are_checked_too_marked_and_painted(desk, checked):
    annotate, train = desk.open_dock("Annotate"), desk.open_dock("Train")
    press(annotate.task_buttons["locate"])
    random = np.random.default_rng(0)
    film = random.normal(100, 5, (12, 40, 48)).astype(np.float32)
    film[9] += 200
    desk.viewer.add_image(film, name="film", axis_labels=("t", "y", "x"))
    tool = desk.use_tool(annotate, "mark_positions")
    for t in range(12):
        tool.mark_at((20.0, 10.0 + 2 * t), (t,))
    window = checked(train)
    assert "Brightness. 1 of 12 images ('film, plane 10')" in window.found.toPlainText(), (
        window.status.text()
    )
    assert not window.suspects_button.isVisible()
    desk.use_tool(annotate, "paint_strokes")
    [image] = desk.session.project.images()
    painted = np.repeat([[0, 1, 2, 0]], 40, axis=0).repeat(12, axis=1).astype(np.uint8)
    for t in (2, 9):
        desk.session.project.write_painting(image.id, (t,), painted)
    press(annotate.task_buttons["segment"])
    desk.session.annotations_changed.emit()
    window = checked(train)
    assert "in 2 images" in window.status.text(), window.status.text()


def test_closing_the_window_ends_the_check(desk, monkeypatch):
    train = desk.open_train_with_cells(40)
    press(train.form.check_button)
    window = train.findChildren(DataCheck)[-1]
    press(window.close_button)
    desk.wait_until_idle()
    assert not desk.messages


def test_steps_of_a_stopped_check_have_no_result(desk):
    import threading

    from napari_convnet.progress import run

    train = desk.open_train_with_cells(40)
    stop = threading.Event()
    stop.set()
    assert run(check_steps(train._request(), stop)) is None
