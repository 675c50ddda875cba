"""Every kind of image that napari shows can be painted, picked from and collected for training."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import zarr
from dock_helpers import press

from napari_convnet.widgets.training_data import collect_planes

SHAPE = (3, 96, 128)


def numbers(dtype) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 200, SHAPE).astype(dtype)


def as_zarr(array):
    store = zarr.create_array(
        zarr.storage.MemoryStore(), shape=array.shape, dtype=array.dtype, chunks=(1, 32, 32)
    )
    store[:] = array
    return store


KINDS = {
    "uint8": (numbers("u1"), {}),
    "uint16": (numbers("u2"), {}),
    "int16": (numbers("i2") - 100, {}),
    "float32": (numbers("f4") / 7, {}),
    "float64": (numbers("f8") / 7, {}),
    "bool": (numbers("u1") > 100, {}),
    "big-endian": (numbers(">u2"), {}),
    "dask": (da.from_array(numbers("u2"), chunks=(1, 50, 50)), {}),
    "zarr": (as_zarr(numbers("u2")), {}),
    "multiscale": ([numbers("u2"), numbers("u2")[:, ::2, ::2]], {"multiscale": True}),
    "multiscale colours": ([numbers("u1").transpose(1, 2, 0), numbers("u1").transpose(1, 2, 0)[::2, ::2]], {}),
    "placed": (numbers("u2"), {
        "scale": (2, 0.3, 0.2), "translate": (5, -3, 70), "shear": (0, 0, 0.2), "units": ("um",) * 3,
    }),
    "plane": (numbers("u2")[0], {}),
    "rgb": (np.moveaxis(numbers("u1"), 0, -1), {}),
    "rgba": (np.concatenate([numbers("u1"), np.full((1, 96, 128), 255, "u1")]).transpose(1, 2, 0), {}),
    "rgb stack": (np.stack([np.moveaxis(numbers("u1"), 0, -1)] * 3), {"rgb": True}),
}  # fmt: skip


def expected_pixels(kind: str, array, plane: tuple[int, ...]) -> np.ndarray:
    full = np.asarray(array[0] if "multiscale" in kind else array, np.float32)
    if "rgb" in kind or "colours" in kind:
        return np.moveaxis(full[plane][..., :3], -1, 0)
    return full[plane][None]


@pytest.mark.parametrize("kind", KINDS)
def test_strokes_and_patches_go_with_the_pixels_under_them(desk, kind):
    array, options = KINDS[kind]
    layer = desk.viewer.add_image(array, name=kind, **options)
    layer.axis_labels = ("z", "y", "x")[-layer.ndim :]
    plane = (1,) if layer.ndim == 3 else ()
    desk.viewer.dims.set_current_step(0, 1) if plane else None
    dock = desk.open_dock("Annotate")
    tool = desk.use_tool(dock, "pick_patches")
    for value, column in ((1, 30), (2, 90)):
        desk.choose_class(value)
        desk.click(tool.layer, (*plane, 40, column))
    (found,) = collect_planes(desk.session)
    assert np.allclose(found.centres, [(40, 30), (40, 90)], atol=1)
    assert np.array_equal(found.arrays.clean().pixels, expected_pixels(kind, array, plane))

    press(dock.task_buttons["segment"])
    tool = desk.use_tool(dock, "paint_strokes")
    for value, row in ((1, 20), (2, 60)):
        desk.choose_class(value)
        desk.stroke(tool.layer, [(*plane, row, 30), (*plane, row, 90)])
    (found,) = collect_planes(desk.session)
    assert found.painted.shape == (96, 128)
    assert (found.painted[20, 35:85] == 1).all()
    assert (found.painted[60, 35:85] == 2).all()
    assert not found.painted[30:50].any()
    assert found.arrays.plane == plane
    assert not desk.messages


def test_a_tiny_image_is_annotated_but_not_trained_on_alone(desk):
    """The refusal names image, size and way out."""
    desk.viewer.add_image(np.random.default_rng(0).random((7, 12)), name="crumb")
    dock, train = desk.open_dock("Annotate"), desk.open_dock("Train")
    press(dock.task_buttons["segment"])
    tool = desk.use_tool(dock, "paint_strokes")
    tool.layer.brush_size = 1
    for value, row in ((1, 1), (2, 4)):
        desk.choose_class(value)
        desk.stroke(tool.layer, [(row, 1), (row, 9)])
    # Strokes are counted once they are saved, half a second later.
    desk.qtbot.waitUntil(train.train_button.isEnabled, timeout=20_000)
    press(train.train_button)
    desk.qtbot.waitUntil(lambda: bool(desk.messages), timeout=60_000)
    desk.wait_until_idle()
    assert "'crumb' is 7 x 12 pixels, smaller than 16 x 16" in desk.messages[-1]
    assert "Annotate a larger image" in desk.messages[-1]
    assert train.train_button.isEnabled()
    assert desk.session.model is None
