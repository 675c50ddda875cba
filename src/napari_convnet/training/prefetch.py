"""Batches made ready in a thread while a graphics card computes."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")

_DEPTH = 3


def prefetched(items: Iterable[Item]) -> Iterator[Item]:
    """Yield items that a thread prepares, up to three ahead; closing the generator ends the thread."""
    waiting: queue.Queue = queue.Queue(_DEPTH)
    closed = threading.Event()

    def put(kind: str, value: object) -> bool:
        while not closed.is_set():
            try:
                waiting.put((kind, value), timeout=0.05)
            except queue.Full:
                continue
            return True
        return False

    def prepare() -> None:
        try:
            for item in items:
                if not put("item", item):
                    return
            put("end", None)
        except BaseException as error:  # noqa: BLE001 - raised again where the items are used
            put("error", error)

    thread = threading.Thread(target=prepare, name="napari-convnet batches", daemon=True)
    thread.start()
    try:
        while True:
            kind, value = waiting.get()
            if kind == "end":
                return
            if kind == "error":
                raise value
            yield value
    finally:
        closed.set()
        thread.join()
