"""The Train dock: what would be learned from what, Train, Stop, curves, and the model that comes out."""

from __future__ import annotations

from datetime import datetime

from napari.utils.notifications import show_warning
from napari.viewer import Viewer
from qtpy.QtWidgets import QProgressBar

from napari_convnet.progress import Progress
from napari_convnet.widgets.background import JobResult
from napari_convnet.widgets.controls import push_button, row, scrolling_column, text_line
from napari_convnet.widgets.curves import Curves
from napari_convnet.widgets.device_line import DeviceLine
from napari_convnet.widgets.dock import Dock
from napari_convnet.widgets.folder_job import FolderRequest
from napari_convnet.widgets.folder_panel import FolderPanel
from napari_convnet.widgets.image_notes import new_notes
from napari_convnet.widgets.messages import guarded
from napari_convnet.widgets.model_bar import ModelBar
from napari_convnet.widgets.network_form import NETWORKS_BY_TASK, NetworkForm
from napari_convnet.widgets.prediction_runner import PredictionRunner
from napari_convnet.widgets.preferences import read_preferences
from napari_convnet.widgets.training_data import collect_planes, missing_annotations
from napari_convnet.widgets.training_job import TrainingRequest, kept_model
from napari_convnet.widgets.training_runner import TrainingRunner

_CURVES_HEIGHT = 240  # all of the dock fits on a screen of 800 rows


class TrainDock(Dock):
    """Train a network on the annotations, watch it learn, stop it and keep the best."""

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__(napari_viewer)
        self.training = TrainingRunner(self, self.session)
        self.predicting = PredictionRunner(self, self.session)
        self._build()
        self._connect()
        self._show_task()

    # The form ---------------------------------------------------------------------------------

    def _build(self) -> None:
        self.summary = text_line("What training would use")
        self.folder_panel = FolderPanel(self)
        self.form = NetworkForm()
        self.train_button = push_button(
            "Train", "Train on everything that is annotated.", self.train
        )
        self.stop_button = push_button("Stop", "Stop and keep the best model so far.", self.stop)
        self.bar = QProgressBar()
        self.bar.setAccessibleName("Training progress")
        self.bar.setTextVisible(False)
        self.time_line = text_line("Time left")
        self.curves = Curves(self.session.viewer)
        self.curves.setFixedHeight(_CURVES_HEIGHT)
        self.curves.hide()
        self.result = text_line("Result of training")
        self.model_bar = ModelBar(self.session)
        self.device_line = DeviceLine()
        column = scrolling_column(self)
        column.addWidget(self.summary)
        column.addWidget(self.folder_panel)
        column.addWidget(self.form)
        column.addLayout(row(self.train_button, self.stop_button))
        column.addWidget(self.bar)
        column.addWidget(self.time_line)
        column.addWidget(self.curves)
        column.addWidget(self.result)
        column.addWidget(self.model_bar)
        column.addWidget(self.device_line)
        column.addStretch()

    def _connect(self) -> None:
        session = self.session
        self.training.changed.connect(self._show_state)
        self.predicting.changed.connect(self._show_state)
        self.predicting.said.connect(self._say)
        self.form.said.connect(self._say)
        self.folder_panel.changed.connect(self._show_task)
        session.task_changed.connect(self._show_task)
        session.annotations_changed.connect(self._show_summary)
        session.classes_changed.connect(self._show_summary)
        self.offer(
            train=self.train, stop=self.stop, save_model=self.model_bar.save, load_model=self.model_bar.load,
        )  # fmt: skip

    def release(self) -> None:
        """Let go of the viewer, which outlives the dock."""
        self.curves.release()

    def _show_task(self) -> None:
        self.form.setVisible(self._task in NETWORKS_BY_TASK)
        self.form.show_task(self._task, whole_images=self.folder_panel.folder is not None)
        self._show_summary()

    @property
    def _task(self) -> str:
        """What is trained: a folder's images are classified, whatever is annotated."""
        return "classify" if self.folder_panel.folder else self.session.task

    def _show_summary(self) -> None:
        self.summary.setVisible(self.folder_panel.folder is None)
        if self.folder_panel.folder is not None:
            self._missing = ""
            self._show_state()
            return
        names, counts = [info.name for info in self.session.classes], self.session.class_counts()
        unit = "painted pixels" if self.session.task == "segment" else "annotations"
        parts = ", ".join(f"{name}: {count:,}" for name, count in zip(names, counts, strict=True))
        text = f"{sum(counts):,} {unit} ({parts})."
        self._missing = missing_annotations(self.session)
        self.summary.setText(f"{text} {self._missing}".strip())
        self._show_state()

    def _show_state(self) -> None:
        state = self.training.state
        self.train_button.setEnabled(state == "idle" and not self._missing)
        self.stop_button.setEnabled("running" in (state, self.predicting.state))
        if state == "stopping":
            self.time_line.setText("Stopping after this step…")

    def _say(self, text: str) -> None:
        self.result.setText(text)

    # Verbs ------------------------------------------------------------------------------------

    def train(self) -> None:
        """Train on all annotations of the images that are open."""
        if self.training.state == "idle":
            guarded(self._start)

    def stop(self) -> None:
        """Stop and keep the best model so far."""
        self.training.stop()
        self.predicting.stop()

    def _start(self) -> None:
        request = self._request()
        self._say("")
        self.curves.clear("mean IoU" if self._task == "segment" else "balanced accuracy")
        self.curves.show()
        self.bar.setRange(0, 0)
        self.training.start(request, self.form.record(), self._on_progress, self._on_done)

    def _request(self) -> TrainingRequest | FolderRequest:
        """Return what to train, as the dock shows it."""
        session, form, folder = self.session, self.form, self.folder_panel.folder
        common = {
            "network": form.network.currentText(), "settings": form.settings(read_preferences().device),
            "automatic": frozenset() if form.epochs.value() else frozenset({"epochs"}), "pretrained": form.weights,
        }  # fmt: skip
        now = f"{datetime.now():%Y-%m-%d %H.%M}"
        if folder is not None:
            together = self.folder_panel.together.text().strip()
            return FolderRequest(
                folder=folder, together=together, input_size=form.patch_size.value(),
                name=f"{folder.root.name[:40]} {now}", **common,
            )  # fmt: skip
        return TrainingRequest(
            task=session.task, planes=collect_planes(session), classes=session.classes,
            patch_size=form.patch_size.value(), name=f"{session.task} {now}", **common,
        )  # fmt: skip

    def _on_progress(self, events: tuple[Progress, ...]) -> None:
        for event in events:
            if hasattr(event, "training_loss"):
                self.curves.add_epoch(
                    event.done,
                    event.training_loss,
                    event.validation_loss,
                    event.score,
                    event.is_best,
                )
            elif hasattr(event, "loss"):
                self.curves.add_batch(event.done, event.loss)
        last = events[-1]
        self.bar.setRange(0, last.total)
        self.bar.setValue(last.done)
        if self.training.state == "running":
            self.time_line.setText(self.training.time_text(last))

    def _on_done(self, result: JobResult) -> None:
        self.bar.setRange(0, 1)
        self.bar.setValue(int(result.outcome == "finished"))
        self.time_line.setText(self.training.end_text(result))
        if result.outcome == "failed":
            kept = kept_model(result)
            if kept is not None:
                self.session.set_model(kept.model)
            self._say(result.error_text)
            show_warning(result.error_text)
        elif result.value is None:
            self._say("Stopped before there was a model; the one from before stays.")
        else:
            self._adopt(result.value.model, new_notes(self.session, result.value.notes))

    def _adopt(self, model, notes: tuple[str, ...]) -> None:
        self.session.set_model(model)
        self._say("\n".join((describe_scores(model), *notes)))
        if (
            read_preferences().predicts_after_training
            and not self.is_closed
            and self.session.source.image_ids
            and (
                model.card.task != "classify" or model.card.patch_size
            )  # a model of whole images is not for these cells
        ):
            self.predicting.start(after=self.result.text())


def describe_scores(model) -> str:
    """Say how good a model is and on what that was measured."""
    scores = model.card.scores
    held_out = scores.get("validation")
    if not held_out:
        return f"Trained. {scores['warning']}"
    key, name, what = (
        ("mean_iou", "Mean IoU", "pixels")
        if model.card.task == "segment"
        else ("accuracy", "Accuracy", "samples")
    )
    text = f"{name} {held_out[key]:.3f} on {held_out['n']:,} held-out {what} ({scores['measured_on']})."
    return f"{text} {scores['warning']}".strip()
