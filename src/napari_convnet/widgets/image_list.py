"""The list of a project's images: small pictures, what is annotated, what each is for, and which file is lost."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from napari.utils.notifications import show_info, show_warning
from qtpy.QtCore import QSignalBlocker, Qt, QTimer
from qtpy.QtGui import QIcon, QImage, QPixmap
from qtpy.QtWidgets import (
    QFileDialog,
    QTreeWidgetItem,
    QWidget,
)

from napari_convnet.errors import UserError
from napari_convnet.progress import Progress
from napari_convnet.project import ImageRecord
from napari_convnet.widgets.background import JobResult
from napari_convnet.widgets.image_list_form import ANNOTATED, NAME, SPLIT, SPLITS, ImageListForm
from napari_convnet.widgets.image_list_job import ImageSeen, find_missing, look_at_images
from napari_convnet.widgets.image_switching import ImageSwitcher
from napari_convnet.widgets.job_slot import JobSlot
from napari_convnet.widgets.messages import guarded
from napari_convnet.widgets.session import Session

_ID = Qt.ItemDataRole.UserRole
_REFRESH_MILLISECONDS = 250
_ROWS_SHOWN = 6


class ImageList(ImageListForm):
    """The images of the session's project; a click opens one as a layer.

    Parameters
    ----------
    dock
        Whose jobs these are: they stop when it is closed.
    session
        Whose project, viewer and source.
    """

    def __init__(self, dock: QWidget, session: Session) -> None:
        super().__init__()
        self._session = session
        self._switcher = ImageSwitcher(session)
        self.looking, self.finding = JobSlot(dock), JobSlot(dock)
        self._records: dict[int, ImageRecord] = {}
        self._pictures: dict[int, QIcon] = {}
        self._missing: set[int] = set()
        self._is_look_due = False
        #: The image worked on before the one that was just opened here.
        self._left: int | None = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_REFRESH_MILLISECONDS)
        self._timer.timeout.connect(self.refresh)
        self.toggle.toggled.connect(self._show_list)
        self.tree.itemClicked.connect(self._clicked)
        self.tree.itemActivated.connect(lambda item, _column: self._open_item(item))
        self.tree.itemSelectionChanged.connect(self._show_split)
        self.tree.stepped.connect(self._step)
        self.split.activated.connect(lambda index: guarded(lambda: self._set_split(index)))
        self.find_button.clicked.connect(self.ask_folder)
        session.project_changed.connect(self._project_changed)
        session.annotations_changed.connect(self._timer.start)
        session.source_changed.connect(self._timer.start)
        self.refresh()

    def release(self) -> None:
        """Stop looking; for a dock that is closed."""
        self._timer.stop()

    # Showing ----------------------------------------------------------------------------------

    def _project_changed(self) -> None:
        self._pictures.clear()
        self._missing.clear()
        self.tree.clear()
        self._records.clear()
        self.refresh()

    def _show_list(self, is_open: bool) -> None:
        self.body.setVisible(is_open)
        if is_open:
            self.refresh()
            self._look()

    def refresh(self) -> None:
        """Show the project's images as they are now."""
        project = self._session.project
        records = {image.id: image for image in project.images()} if project else {}
        counts = project.annotated_images() if project else {}
        is_new = records.keys() != self._records.keys()
        self._records = records
        self.toggle.setText(f"Images ({len(records)})" if records else "Images")
        if is_new:
            with QSignalBlocker(self.tree):
                self.tree.clear()
                for image in records.values():
                    item = QTreeWidgetItem([image.name, "", ""])
                    item.setData(NAME, _ID, image.id)
                    item.setTextAlignment(
                        ANNOTATED, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
                    )
                    self.tree.addTopLevelItem(item)
        for item in self._items():
            self._show_item(item, counts)
        rows = min(max(len(records), 2), _ROWS_SHOWN)
        self.tree.setFixedHeight(rows * 36 + self.tree.header().height() + 6)
        self._show_current()
        self._show_missing()
        if is_new and self.toggle.isChecked():
            self._look()

    def _items(self) -> list[QTreeWidgetItem]:
        return [self.tree.topLevelItem(i) for i in range(self.tree.topLevelItemCount())]

    def _show_item(self, item: QTreeWidgetItem, counts: dict[int, tuple[int, bool]]) -> None:
        image = self._records[item.data(NAME, _ID)]
        count, is_painted = counts.get(image.id, (0, False))
        words = [f"{count:,}"] if count or not is_painted else []
        item.setText(ANNOTATED, " + ".join([*words, *(["painted"] if is_painted else [])]))
        item.setText(SPLIT, image.split)
        self._show_file(item)

    def _show_file(self, item: QTreeWidgetItem) -> None:
        image = self._records[item.data(NAME, _ID)]
        is_missing = image.id in self._missing
        item.setText(NAME, f"missing: {image.name}" if is_missing else image.name)
        place = image.source or "kept in no file: open it in napari yourself"
        item.setToolTip(NAME, f"Missing: {place}" if is_missing else place)
        if image.id in self._pictures:
            item.setIcon(NAME, self._pictures[image.id])

    def _show_current(self) -> None:
        """Select the image that is worked on."""
        current = self._session.open_image
        if current is None or self.tree.hasFocus():
            return
        if current.image_id == self._left:
            return  # the next one is still being opened: what was asked for stays selected
        self._left = None
        for item in self._items():
            if item.data(NAME, _ID) == current.image_id and not item.isSelected():
                with QSignalBlocker(self.tree):
                    self.tree.setCurrentItem(item)
        self._show_split()

    def _show_missing(self) -> None:
        n = len(self._missing & self._records.keys())
        self.find_button.setVisible(n > 0)
        self.find_button.setEnabled(self.finding.state == "idle")
        self.status.setVisible(n > 0)
        self.status.setText(f"{n} of {len(self._records)} files are not where they were.")

    def _look(self) -> None:
        images = list(self._records.values())
        if self.looking.state != "idle":
            self._is_look_due = True
            return
        if images:
            seen = frozenset(self._pictures)
            self.looking.start(
                lambda stop: look_at_images(images, seen, stop), description="Looking at the images",
                on_progress=self._seen, on_done=self._looked,
            )  # fmt: skip

    def _seen(self, events: tuple[Progress, ...]) -> None:
        items = {item.data(NAME, _ID): item for item in self._items()}
        for event in events:
            if not isinstance(event, ImageSeen) or event.image_id not in items:
                continue
            (self._missing.add if event.is_missing else self._missing.discard)(event.image_id)
            if event.picture is not None:
                self._pictures[event.image_id] = _icon(event.picture)
            self._show_file(items[event.image_id])
        self._show_missing()

    def _looked(self, result: JobResult) -> None:
        if result.error_text:
            show_warning(result.error_text)
        if self._is_look_due:
            self._is_look_due = False
            self._look()

    # Split ------------------------------------------------------------------------------------

    def _chosen(self) -> list[ImageRecord]:
        return [self._records[item.data(NAME, _ID)] for item in self.tree.selectedItems()]

    def _show_split(self) -> None:
        chosen = self._chosen()
        self.split.setEnabled(bool(chosen))
        splits = {image.split for image in chosen}
        self.split.setCurrentIndex(SPLITS.index(splits.pop()) if len(splits) == 1 else -1)

    def _set_split(self, index: int) -> None:
        for image in self._chosen():
            self._session.ensure_project().set_split(image.id, SPLITS[index])
        self.refresh()
        self._session.annotations_changed.emit()

    # Opening ----------------------------------------------------------------------------------

    def _clicked(self, item: QTreeWidgetItem, _column: int) -> None:
        if len(self.tree.selectedItems()) == 1:
            self._open_item(item)

    def _open_item(self, item: QTreeWidgetItem) -> None:
        guarded(lambda: self.open(item.data(NAME, _ID)))

    def open(self, image_id: int) -> None:
        """Show an image and work on it: its layer if it is open, else its file.

        Raises
        ------
        UserError
            CN-629 when there is no file to open.
        """
        current = self._session.open_image
        self._left = current.image_id if current and current.image_id != image_id else None
        try:
            self._switcher.open(self._records[image_id], list(self._records.values()))
        except UserError:
            self._left = None
            raise
        finally:
            self._look()  # a file that is gone is marked, one that came back is not

    def next_image(self) -> None:
        """Open the image after the one that is worked on."""
        self._step(1)

    def previous_image(self) -> None:
        """Open the image before the one that is worked on."""
        self._step(-1)

    def _step(self, step: int) -> None:
        ids, current = list(self._records), self._session.open_image
        if not ids:
            show_warning("The project has no images yet: an image joins it when you annotate it.")
            return
        chosen = [image.id for image in self._chosen()]
        now = chosen[0] if chosen else (current.image_id if current else ids[-1])
        image_id = ids[(ids.index(now) + step) % len(ids)]
        self.tree.setCurrentItem(self._items()[ids.index(image_id)])
        guarded(lambda: self.open(image_id))

    # Missing files ----------------------------------------------------------------------------

    def ask_folder(self) -> None:
        """Ask once for a folder and look for all missing images in it."""
        text = QFileDialog.getExistingDirectory(self, "Folder to look for the missing images in")
        if text:
            self.find_in(Path(text))

    def find_in(self, folder: Path) -> None:
        """Look for all missing images in a folder, in the background."""
        missing = [self._records[key] for key in sorted(self._missing & self._records.keys())]
        self.finding.start(
            lambda stop: find_missing(missing, folder, stop), description="Finding images",
            on_progress=lambda events: self.status.setText(events[-1].text.capitalize() + "…"),
            on_done=lambda result: guarded(partial(self._found, missing, folder, result)),
        )  # fmt: skip
        self._show_missing()

    def _found(self, missing: list[ImageRecord], folder: Path, result: JobResult) -> None:
        if result.error_text:
            show_warning(result.error_text)
        found: dict[int, str] = result.value or {}
        for image_id, path in found.items():
            self._session.ensure_project().set_image_source(image_id, path)
            self._missing.discard(image_id)
        show_info(f"Found {len(found)} of {len(missing)} missing images in '{folder.name}'.")
        self.refresh()
        self._look()


def _icon(picture: np.ndarray) -> QIcon:
    height, width = picture.shape[:2]
    image = QImage(picture.data, width, height, 3 * width, QImage.Format.Format_RGB888)
    return QIcon(QPixmap.fromImage(image.copy()))
