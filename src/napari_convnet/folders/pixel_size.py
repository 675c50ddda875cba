"""How large a pixel is, where an image file says so."""

from __future__ import annotations

import re
from pathlib import Path

_MICROMETRE = ("um", "\u00b5m", "\u03bcm", "micron", "microns", "micrometer", "\\u00B5m")


def pixel_size_um(path: Path) -> float | None:
    """Return the side of a pixel in micrometres that a TIFF file states, or None."""
    if path.suffix.lower() not in (".tif", ".tiff"):
        return None
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            if file.is_ome:
                return _size_in_ome(file.ome_metadata or "")
            unit = (file.imagej_metadata or {}).get("unit", "")
            resolution = file.pages[0].tags.get("XResolution")
            if unit not in _MICROMETRE or resolution is None or not resolution.value[0]:
                return None
            return resolution.value[1] / resolution.value[0]
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        return None  # how large a pixel is must not keep anybody from reading the image


def _size_in_ome(text: str) -> float | None:
    size = re.search(r'PhysicalSizeX="([0-9.eE+-]+)"', text)
    unit = re.search(r'PhysicalSizeXUnit="([^"]*)"', text)
    if size is None or (unit is not None and unit.group(1) not in _MICROMETRE):
        return None
    return float(size.group(1)) or None
