"""What napari pays for this plugin at every start: importing the package and reading its manifest.

Run with ``python benchmarks/import_time.py``; prints the best of five fresh interpreters.
"""

from __future__ import annotations

import re
import subprocess
import sys

REPEATS = 5
TARGET_MS = 100.0

# npe2 is napari's own and imported by then; its import is not counted.
READ_MANIFEST = """
import time, npe2
start = time.perf_counter()
npe2.PluginManifest.from_distribution("napari-convnet")
print(1000 * (time.perf_counter() - start))
"""


def import_ms() -> float:
    """Return the cumulative time of the import, as ``python -X importtime`` gives it."""
    finished = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import napari_convnet"],
        capture_output=True,
        text=True,
        check=True,
    )
    # import time: self [us] | cumulative | imported package
    (line,) = re.findall(r"\| +(\d+) \| napari_convnet$", finished.stderr, re.MULTILINE)
    return int(line) / 1000


def manifest_ms() -> float:
    """Return the time to find and read the installed manifest."""
    finished = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", READ_MANIFEST],
        capture_output=True,
        text=True,
        check=True,
    )
    return float(finished.stdout)


def main() -> None:
    best_import = min(import_ms() for _ in range(REPEATS))
    best_manifest = min(manifest_ms() for _ in range(REPEATS))
    rows = {
        "import napari_convnet": best_import,
        "read the manifest": best_manifest,
        "both": best_import + best_manifest,
    }
    print(f"| Python {sys.version.split()[0]}, best of {REPEATS} | ms |\n|---|---|")
    for name, milliseconds in rows.items():
        print(f"| {name} | {milliseconds:.1f} |")
    print(f"| target for both | {TARGET_MS:.0f} |")


if __name__ == "__main__":
    main()
