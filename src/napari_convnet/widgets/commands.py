"""The docks' verbs as commands of napari's palette; each opens the dock that it needs."""

from __future__ import annotations

from napari.utils.notifications import show_warning
from napari.viewer import Viewer

from napari_convnet.widgets.session import session_of


def _run(viewer: Viewer, verb: str, dock: str) -> None:
    session = session_of(viewer)
    if session.do(verb):
        return
    viewer.window.add_plugin_dock_widget("napari-convnet", dock)
    if not session.do(verb):
        show_warning(f"The {dock} dock could not be opened.")


def click_cells(viewer: Viewer) -> None:
    """Annotate by clicking cells of a label layer."""
    _run(viewer, "click_cells", "Annotate")


def pick_patches(viewer: Viewer) -> None:
    """Annotate by picking square patches."""
    _run(viewer, "pick_patches", "Annotate")


def paint_strokes(viewer: Viewer) -> None:
    """Annotate by painting strokes."""
    _run(viewer, "paint_strokes", "Annotate")


def instant_preview(viewer: Viewer) -> None:
    """Switch the instant preview of painted strokes on or off."""
    _run(viewer, "instant_preview", "Annotate")


def mark_positions(viewer: Viewer) -> None:
    """Annotate by marking positions."""
    _run(viewer, "mark_positions", "Annotate")


def show_keys(viewer: Viewer) -> None:
    """Show all keys and mouse gestures."""
    _run(viewer, "show_keys", "Annotate")


def next_class(viewer: Viewer) -> None:
    """Choose the next class."""
    _run(viewer, "next_class", "Annotate")


def next_to_label(viewer: Viewer) -> None:
    """Go to what is to be annotated next."""
    _run(viewer, "next_to_label", "Annotate")


def next_image(viewer: Viewer) -> None:
    """Open the project's next image."""
    _run(viewer, "next_image", "Annotate")


def previous_image(viewer: Viewer) -> None:
    """Open the project's previous image."""
    _run(viewer, "previous_image", "Annotate")


def find_cells(viewer: Viewer) -> None:
    """Make a label layer of the cells in a raw image."""
    _run(viewer, "find_cells", "Annotate")


def add_class(viewer: Viewer) -> None:
    """Add a class."""
    _run(viewer, "add_class", "Annotate")


def undo(viewer: Viewer) -> None:
    """Undo the last annotation."""
    _run(viewer, "undo", "Annotate")


def redo(viewer: Viewer) -> None:
    """Redo the last annotation."""
    _run(viewer, "redo", "Annotate")


def new_project(viewer: Viewer) -> None:
    """Start a project file."""
    _run(viewer, "new_project", "Annotate")


def open_project(viewer: Viewer) -> None:
    """Open a project file."""
    _run(viewer, "open_project", "Annotate")


def start_training(viewer: Viewer) -> None:
    """Train on everything that is annotated."""
    _run(viewer, "train", "Train")


def train_live(viewer: Viewer) -> None:
    """Train while strokes are painted."""
    _run(viewer, "train_live", "Train")


def stop(viewer: Viewer) -> None:
    """Stop and keep the best model."""
    session_of(viewer).do("stop_prediction")
    _run(viewer, "stop", "Train")


def show_scores(viewer: Viewer) -> None:
    """Show the scores of the current model."""
    _run(viewer, "show_scores", "Train")


def show_runs(viewer: Viewer) -> None:
    """Show the runs of the project."""
    _run(viewer, "show_runs", "Train")


def start_prediction(viewer: Viewer) -> None:
    """Apply the current model."""
    _run(viewer, "predict", "Predict")


def save_model(viewer: Viewer) -> None:
    """Save the current model."""
    _run(viewer, "save_model", "Predict")


def load_model(viewer: Viewer) -> None:
    """Load a model."""
    _run(viewer, "load_model", "Predict")


def save_table(viewer: Viewer) -> None:
    """Save the table of objects."""
    _run(viewer, "save_table", "Predict")
