"""The controls of applying a model to many images, folded under a title."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtWidgets import QCheckBox, QLineEdit, QProgressBar, QVBoxLayout, QWidget

from napari_convnet.widgets.controls import push_button, row, text_line
from napari_convnet.widgets.summary_table import SummaryTable
from napari_convnet.widgets.training_options import Fold


class ManyImagesForm(Fold):
    """What is seen of it; the panel says what the buttons do."""

    def __init__(self) -> None:
        super().__init__("Many images")
        self.folder_button = push_button("Folder…", "Apply the model to all images of a folder.")
        self.files_button = push_button("Files…", "Apply the model to the image files you choose.")
        self.chosen = text_line("Images to apply the model to")
        self.labels_button = push_button("Label images…", "")
        self.labels_text = text_line("Label images")
        self.output = QLineEdit()
        self.output.setAccessibleName("Folder for the results")
        self.output.setPlaceholderText("folder for the results")
        self.output.setToolTip(
            "Where masks, objects and tables go. The same model in the same folder goes on where it stopped."
        )
        self.output_button = push_button("…", "Choose the folder for the results.")
        self.output_button.setAccessibleName("Choose the folder for the results")
        self.output_button.setMaximumWidth(28)
        self.start_over = QCheckBox("Start over")
        self.start_over.setAccessibleName("Start over")
        self.start_over.setToolTip(
            "Do all images again, also in a folder with results of another model or other settings."
        )
        self.start_button = push_button(
            "Start", "Apply the current model to all images that are not done yet."
        )
        self.stop_button = push_button("Stop", "Stop after this tile; what is done is kept.")
        self.bar = QProgressBar()
        self.bar.setAccessibleName("Progress through the images")
        self.bar.setTextVisible(False)
        self.status = text_line("What became of the images")
        self.table = SummaryTable()
        self.table.hide()
        self.open_button = push_button(
            "Open output folder", "Show the results in the file manager."
        )
        self._lay_out()

    def _lay_out(self) -> None:
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(row(self.folder_button, self.files_button))
        column.addWidget(self.chosen)
        column.addWidget(self.labels_button)
        column.addWidget(self.labels_text)
        column.addLayout(row(self.output, self.output_button))
        column.addLayout(row(self.start_button, self.stop_button, self.start_over))
        for widget in (self.bar, self.status, self.table, self.open_button):
            column.addWidget(widget)
        self.add(content)

    def say(self, text: str) -> None:
        """Show how far it is, or what became of it."""
        self.status.setText(text)
        self.status.setVisible(bool(text))

    def show_state(self, state: str, has_model: bool, has_images: bool, has_folder: bool) -> None:
        """Enable what can be done now."""
        is_idle = state == "idle"
        for widget in (
            self.folder_button, self.files_button, self.labels_button, self.output, self.output_button, self.start_over,
        ):  # fmt: skip
            widget.setEnabled(is_idle)
        is_ready = has_model and has_images and bool(self.output.text().strip())
        self.start_button.setEnabled(is_idle and is_ready)
        self.stop_button.setEnabled(state == "running")
        self.open_button.setEnabled(has_folder)
        self.chosen.setVisible(bool(self.chosen.text()))
        self.status.setVisible(bool(self.status.text()))
        self.set_note("" if is_idle else "running")

    def show_labels(self, is_classifier: bool, labels: Path | None) -> None:
        """Show what is classified: whole images, or the objects of label images."""
        self.labels_button.setVisible(is_classifier)
        self.labels_text.setVisible(is_classifier)
        if labels is None:
            self.labels_button.setText("Label images…")
            self.labels_button.setToolTip(
                "Choose a folder of label images with the names of the images, to classify their objects."
            )
            self.labels_text.setText("Each image is classified as a whole.")
        else:
            self.labels_button.setText("Without label images")
            self.labels_button.setToolTip("Classify each image as a whole again.")
            self.labels_text.setText(
                f"The objects of the label images in '{labels.name}' are classified."
            )
        self.labels_button.setAccessibleName(self.labels_button.text().rstrip("…"))
        self.labels_button.setAccessibleDescription(self.labels_button.toolTip())
