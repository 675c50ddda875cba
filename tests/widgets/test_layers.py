"""Layers: results land on their image, are found again, and leave alone what is the person's."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from napari.layers import Image, Labels, Layer

from napari_convnet.classes import ClassInfo, make_classes
from napari_convnet.errors import UserError
from napari_convnet.widgets.layers import (
    add_or_update,
    class_colormap,
    class_layer_data,
    find_layer,
    image_data,
    layer_id,
    mark_of,
    objects_layer_data,
    paint_label_voxels,
    set_object_features,
)
from napari_convnet.widgets.object_index import ObjectIndex
from napari_convnet.widgets.placement import data_position, placement_of, voxel_at

CLASSES = make_classes(["nucleus", "mitosis"])

# Drawing a slice of a turned volume is only approximate in napari; where it lies is exact.
pytestmark = pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")

lengths = st.floats(1e-3, 300)
offsets = st.floats(-1e4, 1e4)
small = st.floats(-2, 2)


@st.composite
def placements(draw, ndim):
    def vector(elements, n):
        return draw(st.lists(elements, min_size=n, max_size=n))

    angles = vector(st.floats(-180, 180), 3)
    affine = np.eye(ndim + 1)
    affine[:ndim, :ndim] += 0.2 * np.array(vector(st.floats(-1, 1), ndim**2)).reshape(ndim, ndim)
    affine[:ndim, ndim] = vector(offsets, ndim)
    return {
        "scale": vector(st.one_of(lengths, lengths.map(lambda x: -x)), ndim),
        "translate": vector(offsets, ndim),
        "rotate": angles if ndim == 3 else angles[0],
        "shear": vector(small, ndim * (ndim - 1) // 2),
        "affine": affine,
        "units": ("um",) * ndim,
        "axis_labels": ("z", "y", "x")[-ndim:],
    }


def class_layer(image: Layer, placement, shape) -> Layer:
    return Layer.create(
        *class_layer_data(
            np.ones(shape, np.uint8),
            CLASSES,
            placement,
            name="classes",
            kind="predicted-classes",
            source=layer_id(image),
        )
    )


def assert_same_place(result: Layer, image: Layer) -> None:
    np.testing.assert_allclose(
        result.extent.world, image.extent.world[:, -result.ndim :], rtol=0, atol=1e-6
    )


@given(data=st.data(), ndim=st.sampled_from([2, 3]))
@settings(max_examples=40, deadline=None)
def test_a_result_lies_where_its_image_lies(data, ndim):
    arguments = data.draw(placements(ndim))
    image = Image(np.zeros((3, 5, 7)[-ndim:]), **arguments)
    result = class_layer(image, placement_of(image), image.data.shape)
    assert_same_place(result, image)
    corner = np.arange(1, ndim + 1)
    np.testing.assert_allclose(
        result.data_to_world(corner), image.data_to_world(corner), rtol=1e-9, atol=1e-6
    )
    assert result.units == image.units
    assert result.axis_labels == image.axis_labels


@given(arguments=placements(2))
@settings(max_examples=20, deadline=None)
def test_a_result_without_the_channel_axis_lies_on_its_image(arguments):
    affine = np.eye(4)
    affine[1:, 1:] = arguments["affine"]
    image = Image(
        np.zeros((2, 5, 7)),
        scale=[1, *arguments["scale"]],
        translate=[0, *arguments["translate"]],
        rotate=arguments["rotate"],
        shear=[0, 0, *arguments["shear"]],
        affine=affine,
        units=("pixel", "um", "um"),
        axis_labels=("c", "y", "x"),
    )
    result = class_layer(image, placement_of(image).last(2), (5, 7))
    assert_same_place(result, image)
    assert result.axis_labels == ("y", "x")
    assert [str(unit) for unit in result.units] == ["micrometer", "micrometer"]


def test_a_channel_axis_at_the_end_can_be_left_out():
    image = Image(np.zeros((5, 7, 2)), scale=(2, 3, 1), translate=(4, 5, 6), rgb=False)
    placement = placement_of(image).keep((0, 1))
    np.testing.assert_array_equal(placement.scale, (2, 3))
    np.testing.assert_array_equal(placement.translate, (4, 5))
    with pytest.raises(ValueError, match="ascend"):
        placement_of(image).keep((1, 0))


def test_a_result_of_an_rgb_image_has_no_colour_axis():
    image = Image(np.zeros((5, 7, 3), np.uint8), scale=(2, 3), rgb=True)
    assert image_data(image).is_rgb
    assert image_data(image).array.shape == (5, 7, 3)
    assert_same_place(class_layer(image, placement_of(image), (5, 7)), image)


def test_a_multiscale_layer_gives_its_largest_level():
    image = Image([np.zeros((64, 64)), np.zeros((32, 32))], multiscale=True, scale=(2, 2))
    assert image_data(image).array.shape == (64, 64)
    assert image_data(image).n_levels == 2
    assert_same_place(class_layer(image, placement_of(image), (64, 64)), image)


def test_looking_at_a_lazy_layer_reads_no_voxel():
    reads = []

    def read(block):
        reads.append(block.shape)
        return block

    lazy = da.zeros((64, 64), chunks=16).map_blocks(read, meta=np.zeros((0, 0)))
    image = Image(lazy)
    reads.clear()  # napari has read some for the picture
    assert isinstance(image_data(image).array, da.Array)
    assert reads == []


def test_a_placement_of_another_dimension_is_refused():
    image = Image(np.zeros((3, 5, 7)))
    with pytest.raises(ValueError, match="2-D data"):
        class_layer(image, placement_of(image), (5, 7))


def test_class_colours_are_the_classes_own():
    colormap = class_colormap(CLASSES)
    none, first, unknown = (colormap.map(value) for value in (0, 1, 200))
    assert none[3] == 0
    np.testing.assert_allclose(first, [0, 0x72 / 255, 0xB2 / 255, 1], atol=1e-6)
    assert unknown[3] == 1
    np.testing.assert_allclose(unknown[:3], 0x80 / 255, atol=1e-6)


@pytest.fixture
def image(viewer):
    return viewer.add_image(np.random.default_rng(0).random((20, 30)), scale=(0.5, 0.5))


def result(image, value, kind="predicted-classes", **options):
    return class_layer_data(
        np.full((20, 30), value, np.uint8),
        CLASSES,
        placement_of(image),
        name="nuclei classes",
        kind=kind,
        source=layer_id(image),
        **options,
    )


def test_a_renamed_result_is_updated_in_place_and_the_person_s_choices_stay(viewer, image):
    layer = add_or_update(viewer, result(image, 1, provenance={"model": "first"}))
    layer.name, layer.opacity, layer.visible = "mine", 0.9, False
    layer.metadata["note"] = "keep"
    image.scale = (2, 2)
    again = add_or_update(viewer, result(image, 2, provenance={"model": "second"}))
    assert len(viewer.layers) == 2
    assert again == layer
    assert (again.name, again.opacity, again.visible) == ("mine", 0.9, False)
    assert again.data.max() == again.data.min() == 2
    assert again.metadata["note"] == "keep"
    assert mark_of(again)["model"] == "second"
    assert mark_of(again)["classes"] == ["nucleus", "mitosis"]
    np.testing.assert_array_equal(again.scale, (2, 2))


def test_new_colours_of_the_classes_reach_the_layer(viewer, image):
    layer = add_or_update(viewer, result(image, 2))
    recoloured = class_layer_data(
        np.full((20, 30), 2, np.uint8),
        (CLASSES[0], ClassInfo("mitosis", "#ff0000")),
        placement_of(image),
        name="",
        kind="predicted-classes",
        source=layer_id(image),
    )
    assert add_or_update(viewer, recoloured) == layer
    np.testing.assert_allclose(layer.get_color(2), [1, 0, 0, 1])


def test_layers_are_told_apart_by_kind_and_source_and_never_by_name(viewer, image):
    other = viewer.add_image(np.zeros((20, 30)))
    viewer.add_labels(np.zeros((20, 30), int), name="nuclei classes")
    assert find_layer(viewer, "predicted-classes", layer_id(image)) is None
    layer = add_or_update(viewer, result(image, 1))
    assert find_layer(viewer, "predicted-classes", layer_id(image)) == layer
    assert find_layer(viewer, "predicted-classes", layer_id(other)) is None
    assert find_layer(viewer, "painting", layer_id(image)) is None
    viewer.layers.remove(layer)
    assert find_layer(viewer, "predicted-classes", layer_id(image)) is None


def test_a_locked_result_is_refused_and_unchanged(viewer, image):
    layer = add_or_update(viewer, result(image, 1))
    layer.locked = True
    with pytest.raises(UserError, match="'nuclei classes' is locked") as refusal:
        add_or_update(viewer, result(image, 2))
    assert refusal.value.code == "CN-403"
    assert layer.data.max() == 1
    layer.locked = False
    assert add_or_update(viewer, result(image, 2)).data.max() == 2


def test_a_result_may_change_its_number_of_dimensions(viewer):
    volume = viewer.add_image(np.zeros((3, 20, 30)), scale=(3, 0.5, 0.5))
    options = {"name": "nuclei", "kind": "predicted-objects", "source": layer_id(volume)}
    flat = objects_layer_data(np.ones((20, 30), np.int64), placement_of(volume).last(2), **options)
    add_or_update(viewer, flat)
    whole = objects_layer_data(np.ones((3, 20, 30), np.int64), placement_of(volume), **options)
    layer = add_or_update(viewer, whole)
    assert len(viewer.layers) == 2
    assert_same_place(layer, volume)


def test_object_features_keep_the_person_s_columns(viewer):
    labels = viewer.add_labels(np.arange(12).reshape(3, 4))
    labels.features = pd.DataFrame({"index": [1, 2, 5], "note": ["a", "b", "c"], "class": "old"})
    set_object_features(
        labels, {"index": [2, 5, 7], "class": ["x", "y", "z"], "p": [0.1, 0.2, 0.3]}
    )
    table = labels.features.set_index("index")
    assert table["note"].reindex([1, 2, 5]).tolist() == ["a", "b", "c"]
    assert table["class"].reindex([2, 5, 7]).tolist() == ["x", "y", "z"]
    assert table["class"].isna().tolist() == [True, False, False, False]
    set_object_features(labels, {"index": [2], "p": [0.9]})
    table = labels.features.set_index("index")
    assert table.loc[2].to_dict() == {"note": "b", "class": "x", "p": 0.9}


def test_object_features_of_a_fresh_layer_are_just_the_table(viewer):
    labels = viewer.add_labels(np.arange(12).reshape(3, 4))
    set_object_features(labels, {"index": [3, 9], "class": ["x", "y"]})
    assert labels.features.to_dict("list") == {"index": [3, 9], "class": ["x", "y"]}
    set_object_features(labels, {"index": [9], "class": ["z"]})
    assert labels.features.to_dict("list") == {"index": [9], "class": ["z"]}


def test_a_click_finds_its_voxel_whatever_the_placement(viewer):
    labels = viewer.add_labels(
        np.zeros((20, 30), int), scale=(0.5, 2), translate=(3, 4), rotate=30, shear=[0.3]
    )
    viewer.add_image(np.zeros((3, 4, 20, 30)))
    world = labels.data_to_world((7, 11))
    assert voxel_at(labels, world) == (7, 11)
    assert voxel_at(labels, (0, 0, *world)) == (7, 11)  # the cursor has the viewer's dimensions
    np.testing.assert_allclose(data_position(labels, world), (7, 11))
    assert voxel_at(labels, labels.data_to_world((7, 30))) is None


@pytest.mark.parametrize("shape", [(1024, 1024), (3, 64, 64)])
def test_setting_one_object_s_class_is_undone_at_once(viewer, shape):
    cells = np.zeros(shape, np.int64)
    cells[..., 10:20, 10:20] = 5
    cells[..., 10:20, 20:30] = 2**40
    objects = ObjectIndex.of(cells)
    overlay = viewer.add_labels(np.zeros(shape, np.uint8), colormap=class_colormap(CLASSES))
    assert isinstance(overlay, Labels)
    paint_label_voxels(overlay, objects, [2**40], cells, 2)
    np.testing.assert_array_equal(overlay.data, np.where(cells == 2**40, 2, 0))
    paint_label_voxels(overlay, objects, [5], cells, 1)
    assert (overlay.data == 1).sum() == (cells == 5).sum()
    overlay.undo()
    np.testing.assert_array_equal(overlay.data, np.where(cells == 2**40, 2, 0))
    overlay.undo()
    assert not overlay.data.any()
