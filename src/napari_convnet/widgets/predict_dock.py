"""The Predict dock: apply the current model to an image, and keep the table."""

from __future__ import annotations

from pathlib import Path

from napari.layers import Image
from napari.viewer import Viewer
from qtpy.QtWidgets import QCheckBox, QFileDialog, QProgressBar

from napari_convnet.atomic import write_atomically
from napari_convnet.networks import network_entry
from napari_convnet.progress import Progress
from napari_convnet.widgets.axes import settle_all
from napari_convnet.widgets.comparison_panel import ComparisonPanel
from napari_convnet.widgets.controls import push_button, row, scrolling_column, text_line
from napari_convnet.widgets.dock import Dock
from napari_convnet.widgets.many_images_panel import ManyImagesPanel
from napari_convnet.widgets.messages import guarded
from napari_convnet.widgets.model_bar import ModelBar
from napari_convnet.widgets.objects_panel import ObjectsPanel
from napari_convnet.widgets.prediction_result import Prediction, describe_objects
from napari_convnet.widgets.prediction_runner import PredictionRunner
from napari_convnet.widgets.result_table import ResultTable
from napari_convnet.widgets.source import Source, current_plane, find_by_id, source_layers
from napari_convnet.widgets.source_picker import SourcePicker
from napari_convnet.widgets.time_left import TimeLeft


class PredictDock(Dock):
    """Apply a model to any open image and lay the answer over it."""

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__(napari_viewer)
        self.runner = PredictionRunner(self, self.session)
        self.table: Prediction | None = None
        self._time_left = TimeLeft()
        self._build()
        self._connect()
        if self.session.source.image_ids:
            self.picker.set_value(self.session.source)
        self.session.set_source(self.picker.value())
        self._show_state()
        self._show_prediction()

    def _build(self) -> None:
        self.model_bar = ModelBar(self.session)
        self.picker = SourcePicker(self.session.viewer)
        self.orientations_box = _make_orientations_box()
        self.orientations_box.setChecked(self.session.averages_orientations)
        self.planes_box, self._wants_all_planes = _make_planes_box(), False
        self.predict_button = push_button(
            "Predict", "Apply the model to the chosen image.", self.predict
        )
        self.stop_button = push_button("Stop", "Stop and keep what is done.", self.stop)
        self.bar = QProgressBar()
        self.bar.setAccessibleName("Prediction progress")
        self.bar.setTextVisible(False)
        self.result = text_line("Result of prediction")
        self.objects = ObjectsPanel(self, self.session)
        self.many_images = ManyImagesPanel(self, self.session, self.objects.value)
        self.comparison = ComparisonPanel(self, self.session, self._takes_all_planes)
        self.result_table = ResultTable()
        self.result_table.hide()
        self.result_table.chosen.connect(self.go_to)
        self.table_button = push_button(
            "Save table…", "Write one row for each thing found to a CSV file.", self.save_table
        )
        column = scrolling_column(self)
        column.addWidget(self.model_bar)
        column.addWidget(self.picker)
        column.addWidget(self.orientations_box)
        column.addWidget(self.planes_box)
        column.addLayout(row(self.predict_button, self.stop_button))
        column.addWidget(self.bar)
        column.addWidget(self.result)
        column.addWidget(self.objects)
        column.addWidget(self.result_table)
        column.addWidget(self.table_button)
        column.addWidget(self.comparison)
        column.addWidget(self.many_images)
        column.addStretch()

    def _connect(self) -> None:
        session = self.session
        self.picker.changed.connect(self._choose_source)
        self.orientations_box.toggled.connect(self._choose_orientations)
        session.source_changed.connect(self._show_source)
        session.model_changed.connect(self._show_state)
        self.runner.changed.connect(self._show_state)
        self.runner.said.connect(self.result.setText)
        self.runner.progressed.connect(self._show_progress)
        session.prediction_changed.connect(self._show_prediction)
        self.objects.slot.changed.connect(self._show_state)
        self.objects.made.connect(self._keep_objects)
        self.offer(
            predict=self.predict, save_table=self.save_table, save_model=self.model_bar.save,
            load_model=self.model_bar.load, stop_prediction=self.stop,
        )  # fmt: skip

    def release(self) -> None:
        """Let go of the viewer, which outlives the dock."""
        self.picker.release()

    def _choose_source(self) -> None:
        self.session.set_source(self.picker.value())

    def _choose_orientations(self, is_mean: bool) -> None:
        self.session.averages_orientations = is_mean

    def _show_source(self) -> None:
        self.picker.set_value(self.session.source)
        self._show_state()

    def _image(self) -> Image | None:
        ids = self.session.source.image_ids
        return find_by_id(self.session.viewer, ids[0]) if ids else None

    def _show_state(self) -> None:
        state, model = self.runner.state, self.session.model
        self.predict_button.setEnabled(state == "idle" and model is not None)
        self.stop_button.setEnabled(state == "running" or self.objects.can_stop)
        self.objects.setVisible(model is None or model.card.task == "segment")
        self.table_button.setEnabled(self.table is not None)
        self.orientations_box.setVisible(model is not None and model.card.task == "classify")
        image = self._image()
        can_be_stack = model is not None and model.card.task == "segment"
        self.planes_box.setVisible(can_be_stack and image is not None and image.ndim > 2)
        self._show_whether_all_planes()
        self.picker.show_cells(model is None or model.card.task == "classify")
        if model is None:
            self.result.setText("Train a model in the Train dock, or load one.")
        elif self.result.text().startswith("Train a model"):
            self.result.setText("")

    def _show_whether_all_planes(self) -> None:
        """Tick it for a model of stacks, which sees all planes; what was chosen comes back with another model."""
        must, was_forced = self._sees_depth, not self.planes_box.isEnabled()
        if must and not was_forced:
            self._wants_all_planes = self.planes_box.isChecked()
        if must != was_forced:
            self.planes_box.setEnabled(not must)
            self.planes_box.setChecked(must or self._wants_all_planes)

    def _show_progress(self, event: Progress) -> None:
        self.bar.setRange(0, event.total)
        self.bar.setValue(event.done)
        self.result.setText(self._time_left.describe(event))

    def _show_prediction(self) -> None:
        """Show what was predicted last, also by the Train dock."""
        if self.session.prediction is None:
            return
        found, _, text = self.session.prediction
        self._keep(found)
        if self.runner.state == "idle":
            self.result.setText(text)

    def _keep(self, found: Prediction) -> None:
        self.table = found
        self.bar.setRange(0, 1)
        self.bar.setValue(1)
        self.result_table.show_table(found.table)
        self.result_table.setVisible(len(found.table) > 0)
        self._show_state()

    def _keep_objects(self, found: Prediction, source: Source) -> None:
        self.session.set_prediction(found, source, describe_objects(found))

    def predict(self) -> None:
        """Apply the current model to the chosen image."""
        self.objects.stop()
        self.runner.object_settings = self.objects.value()
        self.runner.takes_all_planes = self._takes_all_planes()
        if self.runner.takes_all_planes and not guarded(self._settle_axes):
            return
        self._time_left = TimeLeft()
        self.runner.start()

    def _takes_all_planes(self) -> bool:
        return not self.planes_box.isHidden() and self.planes_box.isChecked()

    @property
    def _sees_depth(self) -> bool:
        """Whether the model was trained on stacks, and is shown all planes."""
        model = self.session.model
        return model is not None and network_entry(model.card.network).dimensions == 3

    def _settle_axes(self) -> bool:
        """Make sure that it is known which axis is depth and which is time; False when the person did not say."""
        source = self.session.source
        images = source_layers(self.session.viewer, source)[0]
        ids = settle_all(self.session.viewer, images, self)
        if ids is not None and ids != source.image_ids:  # channels have become layers
            self.picker.set_value(Source(ids))
            self.session.set_source(self.picker.value())
        return ids is not None

    def stop(self) -> None:
        """Stop predicting, or forming objects."""
        self.runner.stop()
        self.objects.stop()

    def go_to(self, row: int) -> None:
        """Show the place of a row of the table: its plane, and where it is in there."""
        viewer = self.session.viewer
        source = self.session.prediction[1] if self.session.prediction else Source()
        layer = find_by_id(viewer, source.image_ids[0]) if source.image_ids else None
        found = self.table
        if layer is None or found is None:
            return
        if found.places is not None:
            place = found.places[row]
        else:
            place = (*current_plane(viewer, layer), *found.table.loc[row, ["y", "x"]])
        world = layer.data_to_world(place)
        axes = range(viewer.dims.ndim - layer.ndim, viewer.dims.ndim)
        viewer.dims.set_point(list(axes)[:-2], world[:-2])
        if not found.is_whole and viewer.dims.ndisplay == 2:
            camera = viewer.scene.camera
            camera.center = (*camera.center[:-2], *world[-2:])

    def save_table(self) -> None:
        """Ask where to write the table of what was found."""
        if self.table is None:
            return
        text, _ = QFileDialog.getSaveFileName(
            self, "Save table", str(Path.home() / self._table_name), "Table (*.csv)"
        )
        if text:
            path = Path(text)
            guarded(lambda: self._write_table(path if path.suffix else path.with_suffix(".csv")))

    @property
    def _table_name(self) -> str:
        kind = "images" if self.table.is_whole else "positions"
        is_of_plane = self.table.places is None
        return "objects.csv" if is_of_plane or self.table.is_stack else f"{kind}.csv"

    def _write_table(self, path: Path) -> None:
        table = self.table.table
        if self.table.objects is not None:  # only napari calls a label an index
            table = table.rename(columns={"index": "label"})
        write_atomically(path, table.to_csv(index=False).encode())
        self.result.setText(f"Table saved: {path.name}")


def _make_planes_box() -> QCheckBox:
    text = "All planes"
    box = QCheckBox(text)
    box.setToolTip(
        "Segment every slice or frame of the image, not the one shown only. Along depth (axis z) an object keeps its "
        "number from slice to slice; in time every frame has objects of its own."
    )
    box.setAccessibleName(text)
    box.setAccessibleDescription(box.toolTip())
    return box


def _make_orientations_box() -> QCheckBox:
    text = "Average over 8 orientations"
    box = QCheckBox(text)
    box.setToolTip(
        "Look at each cell or image in all eight ways in which it can be turned and mirrored, and take the mean of the "
        "probabilities. It takes 8 times as long. Wrong where things have an upper side, or where left and right "
        "differ: letters, whole animals, scenes."
    )
    box.setAccessibleName(text)
    box.setAccessibleDescription(box.toolTip())
    return box
