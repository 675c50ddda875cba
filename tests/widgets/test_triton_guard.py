"""A viewer drawn by Mesa and a torch optimiser live in one process.

That the optimiser of a job does not kill it is shown by the trainings of ``test_background.py``,
which come after a viewer in the same process.
"""

from __future__ import annotations

import subprocess
import sys


def test_triton_stays_importable_where_no_other_llvm_is_loaded():
    script = (
        "import sys; from napari_convnet.widgets.triton_guard import keep_triton_out;"
        "keep_triton_out(); assert sys.modules.get('triton', 1) is not None"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_triton_is_kept_out_beside_another_llvm(monkeypatch, tmp_path):
    from napari_convnet.widgets import triton_guard

    maps = tmp_path / "maps"
    maps.write_text("7f00-7f01 r-xp 0 08:01 42 /usr/lib/x86_64-linux-gnu/libLLVM-15.so.1")
    monkeypatch.setattr(triton_guard, "_MAPS", maps)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setitem(sys.modules, "triton", "imported")
    triton_guard.keep_triton_out()
    assert sys.modules["triton"] == "imported"  # too late to matter, and it works then
    monkeypatch.delitem(sys.modules, "triton")
    triton_guard.keep_triton_out()
    assert sys.modules["triton"] is None
