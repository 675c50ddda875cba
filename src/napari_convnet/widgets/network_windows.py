"""The windows that belong to the choice of a network: its table, the designer, its samples and a check of the data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QObject
from qtpy.QtWidgets import QWidget

from napari_convnet.networks.catalogue import network_entry
from napari_convnet.widgets.augmentation_preview import AugmentationPreview
from napari_convnet.widgets.data_check import DataCheck
from napari_convnet.widgets.designer import Designer
from napari_convnet.widgets.folder_job import FolderRequest
from napari_convnet.widgets.folder_panel import FolderPanel
from napari_convnet.widgets.messages import guarded
from napari_convnet.widgets.network_form import NetworkForm
from napari_convnet.widgets.network_input import NetworkInput, input_of, typical_patch_size
from napari_convnet.widgets.network_view import NetworkView
from napari_convnet.widgets.network_view_job import NetworkQuestion
from napari_convnet.widgets.preferences import read_preferences
from napari_convnet.widgets.session import Session
from napari_convnet.widgets.training_job import TrainingRequest

_MANY_SAMPLES = 500


class NetworkWindows(QObject):
    """Opens the windows for what a dock would train, and offers the project's networks in its form.

    Parameters
    ----------
    dock
        Whose windows these are.
    session, form, folder
        What it would train.
    request
        Returns what it would train now.
    """

    def __init__(
        self,
        dock: QWidget,
        session: Session,
        form: NetworkForm,
        folder: FolderPanel,
        request: Callable[[], TrainingRequest | FolderRequest],
    ) -> None:
        super().__init__(dock)
        self._dock, self._session, self._form, self._folder = dock, session, form, folder
        self._request = request
        self.view: NetworkView | None = None
        self.designer: Designer | None = None
        form.table_button.clicked.connect(lambda _checked: guarded(self.show_table))
        form.design_button.clicked.connect(lambda _checked: guarded(self.show_designer))
        form.check_button.clicked.connect(lambda _checked: guarded(self.check_data))
        form.options.preview_asked.connect(lambda: guarded(self.show_augmentation))
        session.project_changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Offer the networks that the project has now."""
        project = self._session.project
        self._form.network.set_saved(project.networks() if project is not None else ())

    def check_data(self) -> None:
        """Look for what would spoil the training."""
        window = DataCheck(self._dock, self._session, self._request())
        window.show()
        window.start()

    def show_augmentation(self) -> None:
        """Show samples as they are and augmented."""
        grid = AugmentationPreview(self._dock, self._request(), self._form.options.settings)
        grid.show()
        grid.draw()

    def show_table(self) -> None:
        """Show the chosen network, as it would be trained."""
        network = self._form.network
        if network.network_id:
            self._show(network.network_id, network.settings, network.currentText(), self._input())

    def show_designer(self) -> None:
        """Open the designer, with the chosen network if it is one of the project's."""
        if self.designer is None:
            self.designer = Designer(self._dock, self._session)
            self.designer.saved.connect(self._saved)
            self.designer.removed.connect(lambda _name: self.refresh())
            self.designer.table_wanted.connect(self._show_draft)
        network, project = self._form.network, self._session.project
        for record in project.networks() if project is not None else ():
            if network.settings == {"graph": record.graph} and network.currentText() == record.name:
                self.designer.load(record)
        self.designer.show_for(self._input())

    def _saved(self, name: str) -> None:
        self.refresh()
        self._form.network.choose_saved(name)

    def _show_draft(self, graph: str, name: str) -> None:
        if self.designer is not None:
            self._show("custom", {"graph": graph}, name, self.designer.input.value())

    def _input(self) -> NetworkInput:
        """Return what the dock would train on."""
        form, folder = self._form, self._folder.folder
        task = self._form.network.task or self._session.task
        entry = network_entry(form.network.network_id or "custom")
        size = form.patch_size.value()
        if not size and folder is None and task == "classify":
            size = typical_patch_size(self._session)
        n_classes = len(folder.class_names) if folder is not None else 0
        return input_of(self._session, size or entry.input_size, n_classes, task)

    def _show(self, network: str, settings: Any, name: str, value: NetworkInput) -> None:
        if self.view is None:
            self.view = NetworkView(self._dock, self._session.viewer)
        options = self._form.options
        training = options.settings()
        n_samples = self._n_samples(training.validation_fraction)
        batch_size = training.batch_size
        if "batch_size" in options.automatic:  # as `suggest_settings` does on a CPU, without torch
            batch_size = 8 if value.task == "segment" else 16 if n_samples < _MANY_SAMPLES else 32
        question = NetworkQuestion(
            network, settings, value, batch_size, n_samples, read_preferences().device,
            training.freeze_backbone, training.unfreeze_last_blocks,
        )  # fmt: skip
        self.view.show_network(question, name)

    def _n_samples(self, held_out: float) -> int:
        """Return about how many samples an epoch has; 0 where that follows from the pixels."""
        if self._folder.folder is not None:
            n = len(self._folder.folder.files)
        elif self._session.task == "classify":
            n = sum(self._session.class_counts(with_test=False))
        else:
            return 0
        return round(n * (1 - held_out))
