"""Weights from a server: progress, the cache, and everything that can go wrong on the way."""

from __future__ import annotations

import hashlib
import io
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch

from napari_convnet import UserError, run
from napari_convnet.networks import build_network, describe_weights, download_weights, fetch_weights
from napari_convnet.networks.catalogue import BACKBONES
from napari_convnet.networks.downloads import WEIGHTS
from napari_convnet.networks.weights import default_weights


def squeezenet_file() -> bytes:
    stream = io.BytesIO()
    torch.save(build_network("squeezenet1_1", 3, 1000).state_dict(), stream)
    return stream.getvalue()


CONTENT = squeezenet_file()


class Server:
    """A local server of one file, which can misbehave."""

    def __init__(self) -> None:
        self.content, self.status, self.announced = CONTENT, 200, len(CONTENT)
        self.requests = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests += 1
                self.send_response(outer.status)
                self.send_header("Content-Length", str(outer.announced))
                self.end_headers()
                if outer.status == 200:
                    self.wfile.write(outer.content)

            def log_message(self, *_arguments) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        digest = hashlib.sha256(CONTENT).hexdigest()[:8]
        self.source = f"http://127.0.0.1:{self._server.server_port}/tiny-{digest}.pth"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def server(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    server = Server()
    entry = replace(WEIGHTS["squeezenet1_1"], source=server.source)
    monkeypatch.setitem(WEIGHTS, "squeezenet1_1", entry)
    yield server
    server.close()


def left_over(tmp_path) -> list[str]:
    return [path.name for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("network_id", BACKBONES)
def test_what_is_said_of_a_download_is_what_torchvision_would_fetch(network_id):
    theirs = default_weights(network_id)
    ours = describe_weights(network_id)
    assert (ours.name, ours.source) == (str(theirs), theirs.url)
    assert ours.megabytes == theirs.meta["_file_size"]


def test_the_encoder_of_a_unet_decides_what_is_downloaded():
    assert describe_weights("unet_pretrained", {"encoder": "resnet34"}) is WEIGHTS["resnet34"]
    assert describe_weights("unet_pretrained") is WEIGHTS["resnet18"]
    assert describe_weights("vgg16_frozen") is WEIGHTS["vgg16"]


def test_a_network_without_imagenet_weights_is_refused():
    with pytest.raises(UserError) as caught:
        describe_weights("convnet")
    assert caught.value.code == "CN-508"


def test_before_a_download_size_licence_and_place_are_said(server, tmp_path):
    text = describe_weights("squeezenet1_1").text
    for part in ("4.7 MB", "BSD-3-Clause", "ImageNet", str(tmp_path / "torch"), server.source):
        assert part in text


def test_a_download_tells_its_progress_and_is_used_from_the_cache_the_second_time(server, tmp_path):
    events = list(fetch_weights("squeezenet1_1"))
    assert events[-1].done == events[-1].total == len(CONTENT)
    assert len(events) > 10
    assert f"{len(CONTENT) / 2**20:.1f} of {len(CONTENT) / 2**20:.1f} MB" in events[-1].text
    assert describe_weights("squeezenet1_1").is_here
    assert "on this computer already" in describe_weights("squeezenet1_1").text

    weights = download_weights("squeezenet1_1")
    assert server.requests == 1
    assert weights.keys() == build_network("squeezenet1_1", 3, 1000).state_dict().keys()
    assert left_over(tmp_path) == [server.source.rpartition("/")[2]]


def test_a_damaged_file_in_the_cache_is_fetched_anew(server):
    path = run(fetch_weights("squeezenet1_1"))
    path.write_bytes(CONTENT[:-100])
    download_weights("squeezenet1_1")
    assert server.requests == 2
    assert path.read_bytes() == CONTENT


def break_it(server: Server, how: str) -> None:
    if how == "404":
        server.status = 404
    elif how == "ends early":
        server.content = CONTENT[: len(CONTENT) // 2]
    elif how == "other content":
        server.content = bytes(len(CONTENT))


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("404", "404"),
        ("ends early", "connection ended after"),
        ("other content", "hash differs"),
        ("server gone", "refused"),
    ],
)
def test_a_failed_download_says_why_what_to_do_and_leaves_nothing(server, tmp_path, how, reason):
    if how == "server gone":
        server.close()
    break_it(server, how)
    with pytest.raises(UserError) as caught:
        download_weights("squeezenet1_1")
    assert caught.value.code == "CN-110"
    assert reason in caught.value.details
    assert "weights file" in caught.value.message
    assert "random weights" in caught.value.message
    assert left_over(tmp_path) == []


def test_stop_in_the_middle_leaves_nothing(server, tmp_path):
    stop = threading.Event()
    steps = fetch_weights("squeezenet1_1", stop=stop)
    first = next(steps)
    assert 0 < first.done < len(CONTENT)
    stop.set()
    with pytest.raises(StopIteration) as end:
        next(steps)
    assert end.value.value is None
    assert left_over(tmp_path) == []
