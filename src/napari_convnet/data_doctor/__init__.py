"""The data doctor: what in a training set would spoil a training or its score, found before it begins."""

from __future__ import annotations

from napari_convnet.data_doctor.examination import examine
from napari_convnet.data_doctor.findings import (
    CHECKS,
    Evidence,
    Finding,
    describe_findings,
    object_diameters,
)

__all__ = ["CHECKS", "Evidence", "Finding", "describe_findings", "examine", "object_diameters"]
