"""The project file: what is written is what is read, now and after reopening."""

import dataclasses
import os

import numpy as np
import pytest
from project_helpers import code_of, reopened

from napari_convnet.classes import ClassInfo, make_classes
from napari_convnet.project import Project, content_hash, file_state


def test_an_image_is_read_as_it_was_added(project):
    image_id = project.add_image(
        "DAPI ø", "/data/a b/漢.tif", (5, 600, 700), "uint16", "ZYX", (2.0, 0.1, 0.1), "µm", "ab12"
    )
    with reopened(project) as again:
        (image,) = again.images()
        assert image.id == image_id
        assert (image.name, image.source) == ("DAPI ø", "/data/a b/漢.tif")
        assert (image.shape, image.dtype, image.axes) == ((5, 600, 700), "uint16", "ZYX")
        assert (image.pixel_size, image.units) == ((2.0, 0.1, 0.1), ("µm",) * 3)
        assert again.find_images(content_hash="ab12") == (image,)
        assert again.find_images(source="/data/a b/漢.tif") == (image,)
        assert again.find_images(content_hash="other", source="") == ()


def test_an_image_that_moved_keeps_its_annotations(project, image_id):
    project.set_object_class(image_id, "nuclei", 7, (2,), (1.5, 2.5), 1)
    project.set_image_source(image_id, "/new/dapi.tif")
    assert project.images()[0].source == "/new/dapi.tif"
    assert len(project.object_annotations(image_id)) == 1
    assert code_of(project.set_image_source, 99, "x") == "CN-331"


def test_records_cannot_be_changed(project, image_id):
    with pytest.raises(dataclasses.FrozenInstanceError):
        project.images()[0].name = "other"
    run_id = project.start_run("segment", "unet", {"epochs": 3}, {})
    with pytest.raises(TypeError):
        project.runs()[0].settings["epochs"] = 4
    assert project.runs()[0].id == run_id


def test_a_clicked_cell_is_read_back_changed_and_cleared(project, image_id):
    project.set_object_class(image_id, "nuclei", 2**40, (2,), (1.5, 2.25), 1)
    project.set_object_class(image_id, "nuclei", 2**40, (2,), (1.5, 2.25), 3, "model")
    project.set_object_class(image_id, "nuclei", 5, (3,), (9, 9), 2)
    project.set_object_class(image_id, "cytoplasm", 5, (3,), (9, 9), 2)
    project.set_object_class(image_id, "cytoplasm", 5, (3,), (9, 9), 0)
    with reopened(project) as again:
        big, small = sorted(again.object_annotations(image_id), key=lambda o: -o.label)
        assert (big.labels_name, big.label, big.plane) == ("nuclei", 2**40, (2,))
        assert (big.centre, big.value, big.annotated_by) == ((1.5, 2.25), 3, "model")
        assert (small.label, small.value, small.annotated_by) == (5, 2, "person")
        assert again.object_annotations(image_id, "cytoplasm") == ()


def test_many_cells_are_written_whole_or_not_at_all(project, image_id):
    objects = [(label, (0,), (label, label), 1 + label % 3) for label in range(1, 501)]
    project.set_object_classes(image_id, "nuclei", objects, "model")
    assert len(project.object_annotations(image_id)) == 500
    bad = [(900, (0,), (1, 1), 1), (901, (0,), (1, 1), 4)]
    assert code_of(project.set_object_classes, image_id, "nuclei", bad) == "CN-333"
    assert len(project.object_annotations(image_id)) == 500


def test_a_patch_is_added_changed_and_removed(project, image_id):
    first = project.add_patch(image_id, (0,), (50, 60.5), 32, 1)
    second = project.add_patch(image_id, (1,), (70, 80), 64, 2)
    project.set_patch(second, centre=(71, 81), value=3)
    project.remove_patch(first)
    third = project.add_patch(image_id, (), (1, 1), 8, 1)
    assert third not in (first, second)
    with reopened(project) as again:
        changed, _ = again.patches(image_id)
        assert (changed.id, changed.plane, changed.centre) == (second, (1,), (71.0, 81.0))
        assert (changed.size, changed.value) == (64, 3)
        assert code_of(again.set_patch, first, value=1) == "CN-331"


@pytest.mark.parametrize(
    ("action", "code"),
    [
        (lambda p, i: p.set_object_class(99, "nuclei", 1, (), (1, 1), 1), "CN-331"),
        (lambda p, i: p.set_object_class(i, "nuclei", 1, (), (1, 1), 4), "CN-333"),
        (lambda p, i: p.set_object_class(i, "nuclei", 1, (), (1, 1), -1), "CN-333"),
        (lambda p, i: p.set_object_class(i, "nuclei", 0, (), (1, 1), 1), "CN-332"),
        (lambda p, i: p.set_object_class(i, "nuclei", 2**63, (), (1, 1), 1), "CN-332"),
        (lambda p, i: p.set_object_class(i, "nuclei", 1, (), (np.nan, 1), 1), "CN-332"),
        (lambda p, i: p.set_object_class(i, "nuclei", 1, (), (1, 1), 1, "robot"), "CN-332"),
        (lambda p, i: p.add_patch(i, (), (1, 1), 0, 1), "CN-332"),
        (lambda p, i: p.add_patch(99, (), (1, 1), 8, 1), "CN-331"),
        (lambda p, i: p.write_painting(i, (), np.full((9, 9), 3, np.uint8)), "CN-333"),
        (lambda p, i: p.write_painting(i, (), np.ones((9, 9), np.int32)), "CN-332"),
        (lambda p, i: p.write_painting(99, (), np.ones((9, 9), np.uint8)), "CN-331"),
        (lambda p, i: p.record_epoch(99, 0, {"loss": 1.0}), "CN-331"),
        (lambda p, i: p.finish_run(99, "finished", {}), "CN-331"),
        (lambda p, i: p.finish_run(1, "done", {}), "CN-336"),
        (lambda p, i: p.set_classes("count", ()), "CN-334"),
        (lambda p, i: p.delete_class("segment", 3), "CN-333"),
        (lambda p, i: p.set_classes("segment", make_classes("aa")), "CN-513"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(project, image_id, action, code):
    assert code_of(action, project, image_id) == code
    assert project.object_annotations(image_id) == ()
    assert project.patches(image_id) == ()


def test_renaming_and_recolouring_keeps_values(project, image_id):
    project.set_object_class(image_id, "nuclei", 1, (), (1, 1), 2)
    renamed = (ClassInfo("a", "#000000"), ClassInfo("b", "#ffffff"), ClassInfo("c", "#123456"))
    project.set_classes("classify", renamed)
    assert project.classes("classify") == renamed
    assert project.object_annotations(image_id)[0].value == 2
    assert [info.name for info in project.classes("segment")] == ["background", "cell"]


def test_a_class_with_annotations_goes_only_when_it_is_deleted(project, image_id):
    project.set_object_class(image_id, "nuclei", 1, (), (1, 1), 3)
    project.write_painting(image_id, (), np.full((9, 9), 2, np.uint8))
    for task in ("classify", "segment"):
        assert code_of(project.set_classes, task, make_classes("a")) == "CN-335"
    project.set_object_class(image_id, "nuclei", 1, (), (1, 1), 0)
    project.set_classes("classify", make_classes("a"))
    assert len(project.classes("classify")) == 1


def test_deleting_a_class_moves_higher_objects_and_patches_down(project, image_id):
    for label, value in ((1, 1), (2, 2), (3, 3)):
        project.set_object_class(image_id, "nuclei", label, (), (1, 1), value)
    patch_ids = [project.add_patch(image_id, (), (1, 1), 8, value) for value in (1, 2, 3)]
    assert project.delete_class("classify", 2).count == 2
    with reopened(project) as again:
        assert [info.name for info in again.classes("classify")] == ["round", "dividing"]
        assert [(o.label, o.value) for o in again.object_annotations(image_id)] == [(1, 1), (3, 2)]
        patches = [(p.id, p.value) for p in again.patches(image_id)]
        assert patches == [(patch_ids[0], 1), (patch_ids[2], 2)]
        assert again.damage == ()


def test_a_run_keeps_its_curves_its_scores_and_its_model(project):
    model = os.urandom(9_000_000)
    run_id = project.start_run("classify", "alexnet", {"epochs": 2}, {"image_ids": (1, 2)})
    assert project.runs()[0].outcome == "running"
    for epoch in range(2):
        project.record_epoch(run_id, epoch, {"loss": np.float32(0.5) / (epoch + 1), "f1": np.nan})
    project.finish_run(run_id, "stopped", {"accuracy": np.float64(0.75)}, model, "Stopped.")
    with reopened(project) as again:
        (run,) = again.runs()
        assert (run.task, run.network, run.outcome) == ("classify", "alexnet", "stopped")
        assert (run.settings, run.data) == ({"epochs": 2}, {"image_ids": [1, 2]})
        assert (run.scores, run.message) == ({"accuracy": 0.75}, "Stopped.")
        assert run.model_size == len(model)
        curves = [dict(record.curves) for record in again.epochs(run_id)]
        assert curves == [{"loss": 0.5, "f1": None}, {"loss": 0.25, "f1": None}]
        assert again.model_bytes(run_id) == model


def test_a_run_without_a_model_has_none_and_one_never_finished_is_interrupted(project):
    failed = project.start_run("segment", "unet", {}, {})
    project.finish_run(failed, "failed", {}, message="No memory.")
    project.start_run("segment", "unet", {}, {})
    with reopened(project) as again:
        assert [run.outcome for run in again.runs()] == ["failed", "interrupted"]
        assert again.model_bytes(failed) is None


def test_a_run_seen_from_another_opening_is_running_until_its_program_ends(project, path):
    project.start_run("segment", "unet", {}, {})
    with Project.open(path, read_only=True) as second:
        assert second.runs()[0].outcome == "running"
    project.close()
    with Project.open(path, read_only=True) as second:
        assert second.runs()[0].outcome == "interrupted"


def test_equal_pixels_have_equal_hashes_and_others_do_not():
    image = np.arange(60, dtype=np.uint16).reshape(3, 4, 5)
    assert content_hash(image) == content_hash(np.asfortranarray(image.astype(">u2")))
    others = [image + 1, image.reshape(4, 3, 5), image.astype(np.int16), image[:, ::-1]]
    assert len({content_hash(other) for other in [image, *others]}) == 5
    assert content_hash(np.zeros((0, 4))) != content_hash(np.zeros((4, 0)))


def test_only_a_sample_of_a_huge_image_is_read():
    class Lazy:
        shape, dtype, read = (50, 20_000, 20_000), np.dtype(np.uint16), 0

        def __getitem__(self, block):
            z, y, x = block
            self.read += (y.stop - y.start) * (x.stop - x.start) * 2
            assert z in range(50)
            assert max(y.stop, x.stop) <= 20_000
            return np.full((y.stop - y.start, x.stop - x.start), z + 1, np.uint16)

    lazy = Lazy()
    content_hash(lazy)
    assert 60 * 2**20 < lazy.read <= 64 * 2**20


def test_the_file_of_an_image_is_known_by_size_and_time(project, tmp_path):
    file = tmp_path / "dapi.tif"
    file.write_bytes(b"1234")
    for source in (str(file), "", "https://example.org/dapi.tif", str(tmp_path)):
        project.add_image("dapi", source, (2, 2), "uint8", "YX")
    first, *others = project.images()
    assert (first.file_size, file_state(first)) == (4, "unchanged")
    assert first.file_modified.endswith("Z")
    assert {file_state(image) for image in others} == {"unknown"}
    os.utime(file, (1, 1))
    assert file_state(first) == "changed"
    file.rename(tmp_path / "moved.tif")
    assert file_state(first) == "missing"
    project.set_image_source(first.id, str(tmp_path / "moved.tif"))
    with reopened(project) as again:
        assert file_state(again.images()[0]) == "unchanged"
        assert again.images()[0].file_modified == "1970-01-01T00:00:01.000Z"
