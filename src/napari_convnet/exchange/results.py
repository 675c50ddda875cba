"""What an export tells when it is done."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from napari_convnet.errors import UserError


@dataclass(frozen=True)
class ExportResult:
    """What was written.

    Parameters
    ----------
    path
        The file or folder.
    counts
        How many of what, such as ``{"patches": 12}``.
    skipped
        What was left out, how many and why.
    """

    path: Path
    counts: dict[str, int]
    skipped: list[str] = field(default_factory=list)

    @property
    def summary(self) -> str:
        """Return how many of what was written where, and what was left out."""
        parts = ", ".join(f"{count:,} {what}" for what, count in self.counts.items())
        lines = [f"'{self.path.name}': {parts} exported."]
        return " ".join(lines + [f"Left out: {text}." for text in self.skipped])


def nothing_to_export(what: str) -> UserError:
    """Return CN-658."""
    return UserError(
        "CN-658", f"The project has no {what}, so there is nothing to export. No file was made."
    )
