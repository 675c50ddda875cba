"""A model applied to many images: the summary of all, what is skipped, and what a stop and a kill leave."""

import csv
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
import tifffile
from scipy import ndimage

from data_folders import no_temporary_files
from napari_convnet.errors import UserError
from napari_convnet.folders.inputs import RESULTS_MARK
from napari_convnet.model_file import save_model
from napari_convnet.prediction.many_images import (
    ApplyOptions,
    ImagesApplied,
    apply_to_images,
    list_sources,
    read_result,
)
from napari_convnet.settings import ObjectSettings
from synthetic_pictures import draw_blobs, write_fields
from training_helpers import listen

N = 6


@pytest.fixture
def images(tmp_path):
    """Six fields of blobs with pixels of a quarter of a micrometre."""
    return write_fields(tmp_path / "images", N)


def apply(model, images, output, options=None, react=lambda _event: None, **others):
    """Apply a model to a folder on the CPU; returns all events and what became of it."""
    files = list_sources(model, [images], output)
    steps = apply_to_images(model, files, output, options or ApplyOptions(), device="cpu", **others)
    return listen(steps, react)


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def contents(folder):
    """Return every visible file of a folder of results."""
    return {p.name: p.read_bytes() for p in folder.iterdir() if not p.name.startswith(".")}


def refused(*arguments, **options):
    with pytest.raises(UserError) as error:
        apply(*arguments, **options)
    return error.value


def test_the_summary_counts_objects_and_areas_of_every_image(segmenter, images, tmp_path):
    events, found = apply(segmenter, images, tmp_path / "out")
    assert (found.n_done, found.n_skipped, found.n_left, found.problems) == (N, 0, 0, {})
    rows = read(tmp_path / "out" / "summary.csv")
    assert [row["image"] for row in rows] == [str(images / f"field_{k}.tif") for k in range(N)]
    lines = read(tmp_path / "out" / "objects.csv")
    for seed, row in enumerate(rows):
        classes = tifffile.imread(tmp_path / "out" / f"field_{seed}_classes.tif")
        objects = tifffile.imread(tmp_path / "out" / f"field_{seed}_objects.tif")
        n = int(objects.max())
        assert n > 3
        assert int(row["objects"]) == int(row["objects blob"]) == n
        assert sum(line["file"] == row["image"] for line in lines) == n
        for value, name in ((1, "background"), (2, "blob")):
            area = int((classes == value).sum())
            assert int(row[f"area_pixels {name}"]) == area
            assert float(row[f"area_share {name}"]) == pytest.approx(area / classes.size)
            assert float(row[f"area_physical {name}"]) == pytest.approx(area / 16)
        assert (row["area_unit"], row["problem"]) == ("micrometer^2", "")
    told = [event for event in events if isinstance(event, ImagesApplied)]
    assert [image.path.name for event in told for image in event.images] == [
        f"field_{k}.tif" for k in range(N)
    ]
    shares = [event.done / event.total for event in events if event.total]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert no_temporary_files(tmp_path)


def test_a_second_run_skips_what_is_done_and_does_what_changed(segmenter, images, tmp_path):
    out = tmp_path / "out"
    apply(segmenter, images, out)
    before = contents(out)
    events, found = apply(segmenter, images, out)
    assert (found.n_done, found.n_skipped) == (N, N)
    assert [len(event.images) for event in events if isinstance(event, ImagesApplied)] == [N]
    assert contents(out) == before
    tifffile.imwrite(images / "field_1.tif", draw_blobs(41)[0])
    (out / "field_2_objects.tif").unlink()
    tifffile.imwrite(images / "field_9.tif", draw_blobs(9)[0])
    _, found = apply(segmenter, images, out)
    assert (found.n_done, found.n_skipped) == (N + 1, N - 2)
    after = contents(out)
    assert after["field_1_classes.tif"] != before["field_1_classes.tif"]
    assert after["field_2_objects.tif"] == before["field_2_objects.tif"]
    assert len(read(out / "summary.csv")) == N + 1
    fresh = tmp_path / "fresh"
    apply(segmenter, images, fresh)
    assert contents(fresh) == after


def test_another_model_and_other_settings_are_refused_unless_it_starts_over(
    segmenter, classifier, images, tmp_path
):
    out = tmp_path / "out"
    apply(segmenter, images, out)
    before = contents(out)
    strong = ApplyOptions(ObjectSettings(strength=90))
    error = refused(segmenter, images, out, strong)
    assert error.code == "CN-640"
    assert "strength: 50, now 90" in error.message
    error = refused(classifier, images, out)
    assert error.code == "CN-640"
    assert f"another model ('{segmenter.card.name}')" in error.message
    assert contents(out) == before
    _, found = apply(segmenter, images, out, strong, start_over=True)
    assert found.n_skipped == 0
    assert refused(segmenter, images, out).code == "CN-640"
    apply(segmenter, images, tmp_path / "strong", strong)
    assert contents(out) == contents(tmp_path / "strong")


def test_a_stop_keeps_whole_images_and_going_on_completes_the_same_tables(
    segmenter, images, tmp_path
):
    out, stop, n_seen = tmp_path / "out", threading.Event(), []

    def stop_in_the_fourth(event):
        n_seen.extend(getattr(event, "images", ()))
        if len(n_seen) == 3 and not isinstance(event, ImagesApplied):
            stop.set()

    _, found = apply(segmenter, images, out, react=stop_in_the_fourth, stop=stop)
    assert (found.n_done, found.n_left) == (3, N - 3)
    assert len(read(out / "summary.csv")) == 3
    assert len(list(out.glob("*_classes.tif"))) == 3
    _, found = apply(segmenter, images, out)
    assert (found.n_done, found.n_skipped) == (N, 3)
    apply(segmenter, images, tmp_path / "at once")
    assert contents(out) == contents(tmp_path / "at once")


KILLED = """
import sys
from pathlib import Path
from napari_convnet.model_file import load_model
from napari_convnet.prediction.many_images import ImagesApplied, apply_to_images, list_sources
model = load_model(sys.argv[1])
out = Path(sys.argv[3])
files = list_sources(model, [Path(sys.argv[2])], out)
for event in apply_to_images(model, files, out, device="cpu"):
    if isinstance(event, ImagesApplied):
        print(event.text, flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")
def test_a_kill_loses_at_most_one_image_and_going_on_completes_the_same_tables(
    segmenter, images, tmp_path
):
    model, out = tmp_path / "m.safetensors", tmp_path / "out"
    save_model(segmenter, model)
    for seed in range(N, 20):
        tifffile.imwrite(images / f"field_{seed}.tif", draw_blobs(seed)[0])
    command = [sys.executable, "-c", KILLED, *map(str, (model, images, out))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        for line in child.stdout:
            if line.startswith("4 of 20"):
                child.send_signal(signal.SIGKILL)
                break
        n_told = 4 + len(child.stdout.read().splitlines())
    assert child.returncode == -signal.SIGKILL
    _, found = apply(segmenter, images, out)
    assert n_told <= found.n_skipped < 20
    assert found.n_done == 20
    apply(segmenter, images, tmp_path / "at once")
    assert contents(out) == contents(tmp_path / "at once")
    assert no_temporary_files(out)


def test_lines_that_a_power_cut_spoilt_are_done_again(segmenter, images, tmp_path):
    out = tmp_path / "out"
    apply(segmenter, images, out)
    before, record = contents(out), out / RESULTS_MARK
    lines = record.read_bytes().splitlines(keepends=True)
    lines[2] = b"\0" * 50 + b"\n"
    lines[-1] = lines[-1][:40]
    record.write_bytes(b"".join(lines))
    _, found = apply(segmenter, images, out)
    assert found.n_skipped == N - 2
    assert contents(out) == before


def test_what_cannot_be_used_is_named_and_tried_again_next_time(segmenter, images, tmp_path):
    out = tmp_path / "out"
    good = (images / "field_3.tif").read_bytes()
    (images / "field_3.tif").write_bytes(b"no picture")
    (images / "more").mkdir()
    (images / "more" / "field_0.tif").write_bytes(good)
    _, found = apply(segmenter, images, out)
    assert {path.name: why[:6] for path, why in found.problems.items()} == {
        "field_3.tif": "CN-634", "field_0.tif": "CN-638"}  # fmt: skip
    rows = {row["image"]: row for row in read(out / "summary.csv")}
    assert len(rows) == N + 1
    assert rows[str(images / "field_3.tif")]["problem"].startswith("CN-634 'field_3.tif'")
    assert rows[str(images / "field_3.tif")]["objects"] == ""
    assert rows[str(images / "field_0.tif")]["problem"] == ""
    (images / "field_3.tif").write_bytes(good)
    _, found = apply(segmenter, images, out)
    assert (found.n_skipped, len(found.problems)) == (N - 1, 1)


def test_two_programs_do_not_write_into_one_folder(segmenter, images, tmp_path):
    pytest.importorskip("fcntl")
    out = tmp_path / "out"
    files = list_sources(segmenter, [images], out)
    steps = apply_to_images(segmenter, files, out, device="cpu")
    while not isinstance(next(steps), ImagesApplied):
        pass
    assert refused(segmenter, images, out).code == "CN-648"
    steps.close()  # as a job that is closed: what is done is in the tables
    assert len(read(out / "summary.csv")) == 1
    _, found = apply(segmenter, images, out)
    assert found.n_skipped == 1


def test_results_in_another_folder_are_not_taken_for_images(segmenter, images, tmp_path):
    apply(segmenter, images, images / "first")
    _, found = apply(segmenter, images, images / "second")
    assert found.n_images == N


def test_the_objects_of_label_images_are_classified(classifier, images, tmp_path):
    labels = tmp_path / "labels"
    labels.mkdir()
    for seed in range(1, N):
        mask = ndimage.label(draw_blobs(seed)[1])[0]
        tifffile.imwrite(labels / f"field_{seed}.tif", (10 * mask).astype(np.uint16))
    out = tmp_path / "out"
    _, found = apply(classifier, images, out, ApplyOptions(labels=labels))
    assert [why[:6] for why in found.problems.values()] == ["CN-636"]  # field_0 has none
    rows, lines = read(out / "summary.csv"), read(out / "objects.csv")
    for seed in range(1, N):
        row = rows[seed]
        mask = tifffile.imread(labels / f"field_{seed}.tif")
        own = [line for line in lines if line["file"] == row["image"]]
        assert [int(line["label"]) for line in own] == np.unique(mask)[1:].tolist()
        shown = tifffile.imread(out / f"field_{seed}_classes.tif")
        for line in own:
            inside = mask == int(line["label"])
            chances = [float(line["probability_disk"]), float(line["probability_square"])]
            assert set(shown[inside]) == {1 + int(np.argmax(chances))}
            assert line["class"] == ("disk", "square")[int(np.argmax(chances))]
            assert int(line["area_pixels"]) == inside.sum()
        assert (shown[mask == 0] == 0).all()
        assert int(row["objects disk"]) + int(row["objects square"]) == len(own)
        mean = np.mean([float(line["probability"]) for line in own])
        assert float(row["mean_probability"]) == pytest.approx(mean, rel=1e-6)
    again = read_result(classifier, images / "field_2.tif", out, labels / "field_2.tif")
    assert len(again.rows) == int(rows[2]["objects"])
    assert again.pixel_size_um == pytest.approx(0.25)


def test_whole_images_get_a_class_and_go_on_after_a_stop(classifier, images, tmp_path):
    out = tmp_path / "out"
    apply(classifier, images, out)
    rows, lines = read(out / "summary.csv"), read(out / "predictions.csv")
    assert [row["class"] for row in rows] == [line["class"] for line in lines]
    for row, line in zip(rows, lines, strict=True):
        assert float(row["probability"]) == float(line[f"probability_{row['class']}"])
    stop = threading.Event()
    _, found = apply(
        classifier, images, tmp_path / "stopped", react=lambda event: stop.set(), stop=stop
    )
    assert found.n_done == 0
    assert not list((tmp_path / "stopped").iterdir())
