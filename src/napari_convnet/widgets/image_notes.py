"""What was said about the images of a viewer, so that it is said once for each image as it is."""

from __future__ import annotations

from collections.abc import Iterable
from weakref import WeakKeyDictionary

from napari_convnet.images import ImageNote, describe_notes
from napari_convnet.widgets.session import Session

_said: WeakKeyDictionary[Session, set[ImageNote]] = WeakKeyDictionary()


def new_notes(session: Session, notes: Iterable[ImageNote]) -> tuple[str, ...]:
    """Return as lines what was not said yet in this session, and note that it is said now.

    A pixel more or less makes another note, so a changed image is spoken of again.
    """
    known = _said.setdefault(session, set())
    new = [note for note in notes if note not in known]
    known.update(new)
    return describe_notes(new)
