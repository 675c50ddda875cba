"""One line that says what training will run on, found by trying it."""

from __future__ import annotations

import threading
from collections.abc import Generator

from qtpy.QtWidgets import QApplication, QVBoxLayout, QWidget

from napari_convnet.progress import Progress
from napari_convnet.widgets.background import JobResult
from napari_convnet.widgets.controls import push_button, text_line
from napari_convnet.widgets.job_slot import JobSlot


class DeviceLine(QWidget):
    """Names the installed torch build and the device that really computes.

    torch is imported and tried in the background when the line is made, which also spares the first training the wait.
    """

    def __init__(self) -> None:
        super().__init__()
        self.text = text_line("Device")
        self.text.setText("Device: looking…")
        self.copy_button = push_button(
            "Copy install command",
            "Copy the command that installs a torch build for the graphics card.",
            self._copy,
        )
        self.copy_button.hide()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.text)
        layout.addWidget(self.copy_button)
        self._command = ""
        self._slot = JobSlot(self)
        self._slot.start(
            _look_for_device, description="Looking for a graphics card", on_progress=lambda _events: None,
            on_done=self._show,
        )  # fmt: skip

    def _show(self, result: JobResult) -> None:
        if result.outcome != "finished":
            self.text.setText(f"Device: torch does not work here. {result.error_text}")
            return
        self._command = result.value.install_command
        note = f"\nFor an NVIDIA graphics card: {self._command}" if self._command else ""
        self.text.setText(f"Device: {result.value.text}{note}")
        self.copy_button.setVisible(bool(self._command))

    def _copy(self) -> None:
        QApplication.clipboard().setText(self._command)


def _look_for_device(_stop: threading.Event) -> Generator[Progress, None, object]:
    yield Progress(done=0, total=0, text="trying the graphics card")
    import torch

    from napari_convnet.devices import report_devices

    # The first optimiser of a process imports half of torch: better now than when Train is pressed.
    torch.optim.AdamW([torch.zeros(1, requires_grad=True)])
    return report_devices()
