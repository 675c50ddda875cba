"""The Train dock: what would be learned from what, Train, Pause, Stop, curves, and the model that comes out."""

from __future__ import annotations

import weakref
from typing import Any

from napari.utils.notifications import show_warning
from napari.viewer import Viewer
from qtpy.QtWidgets import QProgressBar

from napari_convnet.progress import Progress
from napari_convnet.widgets.background import JobResult
from napari_convnet.widgets.controls import push_button, row, scrolling_column, text_line
from napari_convnet.widgets.device_line import DeviceLine
from napari_convnet.widgets.dock import Dock
from napari_convnet.widgets.folder_job import FolderRequest
from napari_convnet.widgets.folder_panel import FolderPanel
from napari_convnet.widgets.image_notes import new_notes
from napari_convnet.widgets.live_source import LiveDesk
from napari_convnet.widgets.live_training import LiveTraining
from napari_convnet.widgets.live_view import LiveView
from napari_convnet.widgets.messages import guarded
from napari_convnet.widgets.model_bar import ModelBar
from napari_convnet.widgets.network_form import NetworkForm
from napari_convnet.widgets.network_windows import NetworkWindows
from napari_convnet.widgets.position_mode import ModeForm
from napari_convnet.widgets.position_training import score_axis
from napari_convnet.widgets.prediction_runner import PredictionRunner
from napari_convnet.widgets.preferences import read_preferences
from napari_convnet.widgets.result_bar import ResultBar
from napari_convnet.widgets.resuming import ResumeBar, Unfinished, request_again
from napari_convnet.widgets.session import Session
from napari_convnet.widgets.training_job import TrainingRequest, kept_model
from napari_convnet.widgets.training_request import live_request, training_request
from napari_convnet.widgets.training_runner import TrainingRunner
from napari_convnet.widgets.training_words import (
    describe_annotations,
    refused_resume,
    result_text,
    smaller_text,
)

#: What was set for each task, for as long as the session lives.
_MEMORIES: weakref.WeakKeyDictionary[Session, dict[str, dict[str, Any]]] = (
    weakref.WeakKeyDictionary()
)


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
        self.mode_form = ModeForm(self.session)
        self.form = NetworkForm(_MEMORIES.setdefault(self.session, {}))
        self.train_button = push_button(
            "Train", "Train on everything that is annotated.", self.train
        )
        self.pause_button = push_button(
            "Pause",
            "Wait after this step; nothing is lost, and the time does not count.",
            self.pause,
        )
        self.stop_button = push_button("Stop", "Stop and keep the best model so far.", self.stop)
        self.resume_bar = ResumeBar(self.session)
        self.live_training = LiveTraining(self, self.session, self._start_live, self.stop)
        self.bar = QProgressBar()
        self.bar.setAccessibleName("Training progress")
        self.bar.setTextVisible(False)
        self.time_line = text_line("Time left")
        self.live = LiveView(self.session.viewer)
        self.curves = self.live.curves
        self.live.hide()
        self.result = text_line("Result of training")
        self.model_bar = ModelBar(self.session)
        self.result_bar = ResultBar(self)
        self.device_line = DeviceLine()
        column = scrolling_column(self)
        column.addWidget(self.summary)
        column.addWidget(self.folder_panel)
        column.addWidget(self.mode_form)
        column.addWidget(self.form)
        column.addWidget(self.resume_bar)
        column.addLayout(
            row(self.train_button, self.live_training.button, self.pause_button, self.stop_button)
        )
        for widget in (  # the result above the curves: both together are higher than a screen
            self.bar, self.time_line, self.live_training.words, self.live_training.uncertainty, self.result,
            self.live, self.model_bar, self.result_bar, self.device_line,
        ):  # fmt: skip
            column.addWidget(widget)
        column.addStretch()

    def _connect(self) -> None:
        session = self.session
        self.windows = NetworkWindows(self, session, self.form, self.folder_panel, self._request)
        self.training.changed.connect(self._show_state)
        self.predicting.changed.connect(self._show_state)
        self.predicting.said.connect(self._say)
        self.predicting.shown.connect(lambda _found: self.live_training.remove())
        self.training.changed.connect(self.delete_when_idle)
        self.form.said.connect(self._say)
        self.form.start_from.follow(session)
        self.resume_bar.asked.connect(self.resume)
        self.folder_panel.changed.connect(self._show_task)
        self.mode_form.mode_changed.connect(self._show_task)
        self.form.network.currentIndexChanged.connect(self._show_network)
        session.task_changed.connect(self._show_task)
        session.annotations_changed.connect(self._show_summary)
        session.classes_changed.connect(self._show_summary)
        self.offer(
            train=self.train, train_live=self.train_live, stop=self.stop,
            save_model=self.model_bar.save, load_model=self.model_bar.load,
        )  # fmt: skip

    def release(self) -> None:
        """Let go of the viewer, which outlives the dock."""
        self.form.remember()
        self.live.release()
        self.live_training.release()

    @property
    def is_busy(self) -> bool:
        """Whether a job runs, or a training's model is still being written."""
        return super().is_busy or self.training.state != "idle"

    def _show_task(self) -> None:
        task = self._task
        self.mode_form.show_task(task)
        self.form.show_task(
            self.mode_form.network_task if task == "locate" else task,
            whole_images=self.folder_panel.folder is not None,
            kept_as=task,
        )
        self._show_network()
        self._show_summary()

    def _show_network(self, _index: int = 0) -> None:
        self.mode_form.show_network(self.form.network.network_id)

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
        text, self._missing = describe_annotations(self.session)
        self.summary.setText(text)
        self._show_state()

    def _show_state(self) -> None:
        state = self.training.state
        self.train_button.setEnabled(state == "idle" and not self._missing)
        self.live_training.button.setEnabled(state == "idle")
        self.live_training.button.setVisible(self._task == "segment")
        self.pause_button.setEnabled(state in ("running", "paused"))
        self.pause_button.setText("Go on" if state == "paused" else "Pause")
        self.pause_button.setAccessibleName(self.pause_button.text())
        self.stop_button.setEnabled(
            state in ("running", "paused", "testing") or self.predicting.state == "running"
        )
        if state == "stopping":
            self.time_line.setText("Stopping after this step…")
        if state != "idle":
            self.resume_bar.look(is_idle=False)

    def _say(self, text: str) -> None:
        self.result.setText(text)

    # Verbs ------------------------------------------------------------------------------------

    def train(self) -> None:
        """Train on all annotations of the images that are open."""
        if self.training.state == "idle":
            guarded(self._start)

    def train_live(self) -> None:
        """Train while strokes are painted."""
        if self.training.state == "idle":
            self.live_training.start()

    def pause(self) -> None:
        """Let the training wait, or go on after it waited."""
        if self.training.state == "running":
            self.training.pause()
        elif self.training.state == "paused":
            self.training.go_on()

    def resume(self) -> None:
        """Go on with the training that is offered."""
        if self.training.state == "idle" and self.resume_bar.offered is not None:
            guarded(lambda: self._resume(self.resume_bar.offered))

    def stop(self) -> None:
        """Stop and keep the best model so far."""
        self.training.stop()
        self.predicting.stop()

    def _start(self) -> None:
        request = self.form.start_from.complete(self._request())
        self._show_begin(self._task, self.mode_form.mode)
        self.training.start(request, self.form.record(), self._on_progress, self._on_done)

    def _resume(self, offered: Unfinished) -> None:
        make_request = request_again(offered.run, self.session)
        self._show_begin(offered.run.task, offered.run.data.get("mode", ""), offered)
        self.training.resume(offered.run.id, make_request, self._on_progress, self._on_done)

    def _show_begin(
        self, task: str, mode: str, goes_on: Unfinished | None = None, score: tuple = ()
    ) -> None:
        self._goes_on = goes_on
        self._say("")
        self.live_training.words.hide()  # those of a live training before
        training_score = "" if task == "locate" or score else "training accuracy"
        self.live.begin(*(score or score_axis(task, mode)), training_score)
        self.live.show()
        self.bar.setRange(0, 0)

    def _request(self) -> TrainingRequest | FolderRequest:
        """Return what to train, as the dock shows it."""
        return training_request(self.session, self.form, self.folder_panel, self.mode_form.mode)

    def _start_live(self, desk: LiveDesk, channels: tuple[str, ...]) -> bool:
        if self.training.state != "idle":
            return False
        request = self.form.start_from.complete(
            live_request(self.session, self.form, desk, channels)
        )
        self._show_begin("segment", "", score=("share right", False))
        self.training.start(request, self.form.record(), self._on_progress, self._on_done)
        return True

    def _on_progress(self, events: tuple[Progress, ...]) -> None:
        self.live.take(events)
        self.live_training.take(events)
        for event in events:
            kind = type(event).__name__
            if kind == "SettingsChosen":
                self.form.explain(event.values, event.reasons)
            elif kind == "TrainingStarted" and self._goes_on is not None:
                self.live.show_record(self._goes_on.epochs, event.done)
            elif kind in ("BatchSizeReduced", "PatchSizeReduced"):
                self._say(smaller_text(event))
            elif kind == "StoppedEarly":
                self._say(event.reason)
        last = events[-1]
        self.bar.setRange(0, last.total)
        self.bar.setValue(last.done)
        if self.training.state in ("running", "paused", "testing"):
            self.time_line.setText(self.training.time_text(last))

    def _on_done(self, result: JobResult) -> None:
        self.live_training.end()
        self.bar.setRange(0, 1)
        self.bar.setValue(int(result.outcome == "finished"))
        self.time_line.setText(self.training.end_text(result))
        self.resume_bar.look()
        if result.outcome == "failed":
            kept = kept_model(result)
            if kept is not None:
                self.session.set_model(kept.model)
            text = refused_resume(result, self._goes_on)
            self._say(text)
            show_warning(text)
        elif result.value is None:
            self._say("Stopped before there was a model; the one from before stays.")
        else:
            notes = new_notes(self.session, result.value.notes)
            self._adopt(result.value.model, result_text(result.value, notes))

    def _adopt(self, model, text: str) -> None:
        self.session.set_model(model)
        self._say(text)
        if (
            read_preferences().predicts_after_training
            and not self.is_closed
            and self.session.source.image_ids
            and (
                model.card.task != "classify" or model.card.patch_size
            )  # whole images: not for these cells
        ):
            self.predicting.start(after=self.result.text())
