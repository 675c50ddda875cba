"""What a training starts from, in the dock: a download, a file, a model of one's own, features only."""

from __future__ import annotations

import contextlib
import hashlib
import io
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest
import torch
from dock_helpers import press
from qtpy.QtWidgets import QFileDialog

from napari_convnet import TrainingSettings, run, save_model, train
from napari_convnet.errors import UserError
from napari_convnet.networks import build_network, starter_sha256
from napari_convnet.networks.downloads import WEIGHTS
from napari_convnet.widgets.network_form import NetworkForm
from napari_convnet.widgets.training_start import describe_start, find_start
from napari_convnet.widgets.training_worker import first_weights
from synthetic_pictures import shape_set


def choose(form, kind: str) -> None:
    index = form.pretrained.findData(kind)
    assert index >= 0
    form.pretrained.setCurrentIndex(index)
    form.pretrained.activated.emit(index)


@pytest.fixture
def form(qtbot):
    form = NetworkForm()
    qtbot.addWidget(form)
    form.show_task("classify")
    return form


@pytest.fixture
def slow_server(monkeypatch, tmp_path):
    """Serve SqueezeNet's weights, held back after the first part until `go` is set."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    stream = io.BytesIO()
    torch.save(build_network("squeezenet1_1", 3, 1000).state_dict(), stream)
    content, go = stream.getvalue(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[:200_000])
            self.wfile.flush()
            go.wait(30)
            with contextlib.suppress(OSError):  # it was stopped
                self.wfile.write(content[200_000:])

        def log_message(self, *_arguments) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    digest = hashlib.sha256(content).hexdigest()[:8]
    source = f"http://127.0.0.1:{server.server_port}/tiny-{digest}.pth"
    monkeypatch.setitem(WEIGHTS, "squeezenet1_1", replace(WEIGHTS["squeezenet1_1"], source=source))
    yield go
    go.set()
    server.shutdown()
    server.server_close()
    thread.join()


def small_model():
    settings = TrainingSettings(epochs=1, batch_size=16, device="cpu")
    return run(
        train(shape_set(40), "convnet", settings, network_settings={"width": 4, "blocks": 2})
    )


def test_a_download_is_described_until_the_file_is_here(form, slow_server):
    form.network.setCurrentText("squeezenet1_1")
    choose(form, "imagenet")
    note = form.start_from.note.text()
    assert "Train downloads" in note
    assert "4.7 MB" in note
    assert "BSD-3-Clause" in note
    place = WEIGHTS["squeezenet1_1"].path
    place.parent.mkdir(parents=True)
    place.write_bytes(b"here")
    choose(form, "imagenet")
    assert "on this computer already" in form.start_from.note.text()
    assert "Train downloads" not in form.start_from.note.text()


def test_features_are_offered_only_where_there_is_something_to_start_from(form):
    form.network.setCurrentText("mobilenet_v2")
    assert form.start_from.logistic.isHidden()
    choose(form, "imagenet")
    assert not form.start_from.logistic.isHidden()
    form.start_from.logistic.setChecked(True)
    assert form.record()["features"] == "logistic"
    choose(form, "none")
    assert "features" not in form.record()


def test_a_file_that_is_no_model_is_refused_and_random_weights_stay(
    form, qtbot, tmp_path, monkeypatch
):
    path = tmp_path / "broken.safetensors"
    path.write_bytes(b"nothing")
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_a, **_k: (str(path), ""))
    with qtbot.waitSignal(form.said, timeout=20_000) as said:
        choose(form, "model_file")
    assert "broken.safetensors" in said.args[0]
    assert form.pretrained.currentData() == "none"
    assert form.start_from.model is None


def test_a_model_file_says_what_it_brings(form, qtbot, tmp_path, monkeypatch):
    path = tmp_path / "shapes.safetensors"
    save_model(small_model(), path)
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_a, **_k: (str(path), ""))
    choose(form, "model_file")
    qtbot.waitUntil(lambda: form.start_from.model is not None, timeout=20_000)
    assert "(disk, square) keep what they know" in form.start_from.note.text()
    assert form.record()["started_from"] == "model"
    assert form.weights == "none"


@pytest.fixture
def dock(desk):
    """The Train dock with 40 annotated cells."""
    return desk.open_train_with_cells(40)


def test_stop_during_the_download_leaves_no_file_and_no_model(dock, qtbot, slow_server):
    dock.form.network.setCurrentText("squeezenet1_1")
    choose(dock.form, "imagenet")
    press(dock.train_button)
    qtbot.waitUntil(lambda: "downloading" in dock.time_line.text(), timeout=30_000)
    assert " MB" in dock.time_line.text()
    press(dock.stop_button)
    slow_server.set()
    qtbot.waitUntil(lambda: dock.training.state == "idle", timeout=30_000)
    assert "Stopped before there was a model" in dock.result.text()
    assert not WEIGHTS["squeezenet1_1"].is_here


def test_training_on_features_after_a_download_then_from_this_model(desk, dock, slow_server):
    slow_server.set()
    dock.form.network.setCurrentText("squeezenet1_1")
    choose(dock.form, "imagenet")
    dock.form.start_from.logistic.setChecked(True)
    desk.train(dock)
    model = desk.session.model
    assert model is not None, desk.messages
    assert model.card.scores["features"]["count"] == 512
    choose(dock.form, "model")
    dock.form.start_from.logistic.setChecked(False)
    dock.form.epochs.setValue(1)
    desk.train(dock)
    tuned = desk.session.model
    assert tuned is not model
    assert tuned.card.network == "squeezenet1_1"
    assert tuned.card.patch_size == model.card.patch_size
    assert tuned.card.scores["started_from"]["classes_new"] == []


@pytest.fixture
def segment_form(form):
    form.show_task("segment")
    return form


def test_the_unet_offers_the_starter_weights(segment_form):
    form = segment_form
    assert (form.network.network_id, form.weights) == ("unet", "none")
    choose(form, "starter")
    assert form.record()["pretrained"] == "starter"
    assert "nothing is downloaded" in form.start_from.note.text()
    form.show_task("classify")
    assert form.pretrained.findData("starter") == -1
    form.show_task("segment")
    assert form.weights == "starter"  # as it was left
    form.network.setCurrentText("segnet")
    assert (form.weights, form.pretrained.findData("starter")) == ("none", -1)


def test_a_request_reads_the_starter_weights_and_its_record_finds_them_again(segment_form):
    choose(segment_form, "starter")
    request = SimpleNamespace(pretrained=segment_form.weights, start_model=None)
    start = describe_start(request, None)
    assert start == {"kind": "starter", "sha256": starter_sha256()}
    run_record = SimpleNamespace(scores={"repeat": {"start": start}}, settings={})
    found, model = run(find_start(run_record, None, None, threading.Event()))
    expected = first_weights(request, is_resumed=False)
    assert model is None
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def test_a_run_from_starter_weights_of_another_version_is_not_repeated():
    start = {"kind": "starter", "sha256": "0" * 64}
    run_record = SimpleNamespace(scores={"repeat": {"start": start}}, settings={})
    with pytest.raises(UserError, match="another version") as refused:
        run(find_start(run_record, None, None, threading.Event()))
    assert refused.value.code == "CN-205"
