"""What a training says of its time and place: elapsed, left, device and memory, in one line."""

from __future__ import annotations

import sys
import time

import psutil  # comes with napari

from napari_convnet.progress import Progress, format_seconds, seconds_left


class TrainingTime:
    """Time of a training, without its pauses."""

    def __init__(self) -> None:
        self._started = self._first_step = time.monotonic()
        self._paused_at: float | None = None
        self._steps_before = 0
        self._process = psutil.Process()
        self.device = ""

    @property
    def seconds(self) -> float:
        """Seconds since the start, without pauses."""
        return self._now() - self._started

    def begin(self, device: str, steps_before: int) -> None:
        """Note where it trains, and how many steps were done before by a training that goes on."""
        self.device, self._steps_before = device, steps_before
        self._first_step = self._now()

    def pause(self) -> None:
        """Stand still until `go_on`."""
        if self._paused_at is None:
            self._paused_at = time.monotonic()

    def go_on(self) -> None:
        """Go on after `pause`."""
        if self._paused_at is not None:
            paused = time.monotonic() - self._paused_at
            self._started += paused
            self._first_step += paused
            self._paused_at = None

    def text(self, last: Progress) -> str:
        """Say what is going on, for how long it has, how long it will, and what it takes."""
        parts = [f"{last.text}, {format_seconds(self.seconds)}"]
        done, total = last.done - self._steps_before, last.total - self._steps_before
        left = seconds_left(self._now() - self._first_step, done, total)
        if left is not None:
            parts.append(f"{format_seconds(left)} left")
        if self.device:
            parts.append(f"{self.device}, {self.memory()}")
        return " · ".join(parts)

    def memory(self) -> str:
        """Return the memory of this process, and what torch holds of the graphics card's."""
        text = f"{self._process.memory_info().rss / 1e9:.1f} GB"
        torch = sys.modules.get("torch")
        if torch is not None and self.device.startswith("cuda"):
            text += f", card {torch.cuda.memory_reserved() / 1e9:.1f} GB"
        return text

    def _now(self) -> float:
        return time.monotonic() if self._paused_at is None else self._paused_at
