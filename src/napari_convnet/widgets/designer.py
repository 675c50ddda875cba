"""The designer: a person puts layers together, and sees at once whether they make a network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QWidget

from napari_convnet.errors import UserError
from napari_convnet.networks.draft import GRAPH_NETWORKS, Draft, catalogue_graph, check_draft
from napari_convnet.networks.graph_json import graph_from_json, graph_to_json
from napari_convnet.networks.layers import KIND_BY_NAME
from napari_convnet.networks.network_settings import STARTER_GRAPH
from napari_convnet.project import NetworkRecord
from napari_convnet.widgets.designer_form import DesignerForm
from napari_convnet.widgets.graph_files import ask_and_read_graph, ask_and_write_graph
from napari_convnet.widgets.layer_list import boxes, layer_rows
from napari_convnet.widgets.network_input import NetworkInput
from napari_convnet.widgets.session import Session

_MOST_STEPS = 500
_TO = {"classify": "to classify", "segment": "to segment", "locate": "to locate"}


class Designer(DesignerForm):
    """Edits one network; everything can be undone, and nothing is kept before *Save*.

    Parameters
    ----------
    dock
        Whose window this is.
    session
        Whose project keeps the networks.
    """

    saved = Signal(str)  # its name
    removed = Signal(str)
    table_wanted = Signal(object, str)  # graph as JSON, name

    def __init__(self, dock: QWidget, session: Session) -> None:
        super().__init__(dock, session.viewer)
        self._session = session
        self._steps: list[Draft] = []
        self._step = -1
        self._merge_key: object = None
        self._loaded = ""
        self._chosen = -1
        self._connect()
        self._do(Draft(graph_from_json(STARTER_GRAPH).layers), chosen=0)

    def _connect(self) -> None:
        self.begin_with.activated.connect(self._begin)
        self.name.textChanged.connect(lambda _text: self._show_saved())
        self.input.changed.connect(self.refresh)
        self.table.selectionModel().currentRowChanged.connect(
            lambda new, _old: self._choose(new.row())
        )
        self.diagram.clicked.connect(lambda place: self.table.choose(place - 1) if place else None)
        self.layer_form.renamed.connect(self._rename)
        self.layer_form.settings_changed.connect(self._set_settings)
        self.layer_form.refused.connect(lambda text: self.say(text, is_problem=True))
        self.layer_form.inputs_changed.connect(
            lambda names: self._edit(lambda d, k: d.set_inputs(k, names))
        )
        for button, action in (
            (self.add_button, self.add), (self.remove_button, self.remove),
            (self.up_button, lambda: self.move_layer(-1)), (self.down_button, lambda: self.move_layer(1)),
            (self.undo_button, self.undo), (self.redo_button, self.redo), (self.save_button, self.save),
            (self.forget_button, self.forget), (self.import_button, self.import_graph),
            (self.export_button, self.export_graph), (self.table_button, self.ask_table),
        ):  # fmt: skip
            button.clicked.connect(lambda _checked, action=action: action())

    # What is edited ---------------------------------------------------------------------------

    @property
    def draft(self) -> Draft:
        """The layers as they are now."""
        return self._steps[self._step]

    def show_for(self, value: NetworkInput) -> None:
        """Show the designer for the images and classes of now."""
        self.input.set_value(value)
        self._fill_begin_with(value.task)
        self._show_saved()
        self.refresh()
        self.show()
        self.raise_()
        self.activateWindow()

    def load(self, record: NetworkRecord) -> None:
        """Go on with a network of the project.

        Raises
        ------
        UserError
            CN-530 if its layers make no network.
        """
        graph = graph_from_json(record.graph)
        self._loaded = record.name
        self._do(Draft(graph.layers), chosen=0)
        self.name.setText(record.name)

    def _fill_begin_with(self, task: str) -> None:
        self.begin_with.clear()
        self.begin_with.addItem("three blocks of layers", "")
        for record in self._saved():
            self.begin_with.addItem(f"{record.name} (saved)", record)
        for network_id in GRAPH_NETWORKS:
            self.begin_with.addItem(network_id, network_id)
        names = [self.begin_with.itemData(k) for k in range(self.begin_with.count())]
        loaded = [k for k, data in enumerate(names) if getattr(data, "name", None) == self._loaded]
        self.begin_with.setCurrentIndex(loaded[0] if loaded else -1)

    def _begin(self, index: int) -> None:
        chosen = self.begin_with.itemData(index)
        if isinstance(chosen, NetworkRecord):
            self._try(lambda: self.load(chosen))
            return
        graph = (
            catalogue_graph(chosen, self.input.value().outputs)
            if chosen
            else graph_from_json(STARTER_GRAPH)
        )
        self._loaded = ""
        self._do(Draft(graph.layers), chosen=0)
        self.name.setText(self._free_name(f"my {chosen or 'network'}"))

    def _free_name(self, name: str) -> str:
        taken, number, free = {record.name for record in self._saved()}, 2, name
        while free in taken:
            free, number = f"{name} {number}", number + 1
        return free

    # Edits ------------------------------------------------------------------------------------

    def _edit(self, change: Callable[[Draft, int], Draft], merge_key: object = None) -> None:
        """Change the chosen layer; edits with the same key are one step back."""
        if self._chosen < 0:
            return
        after = self._try(lambda: change(self.draft, self._chosen))
        if after is not None and after != self.draft:
            self._do(after, chosen=self._chosen, merge_key=merge_key)

    def _try(self, action: Callable[[], Any]) -> Any:
        """Carry out an action; a refusal is said in this window, which may cover napari's messages."""
        try:
            return action()
        except UserError as error:
            self.refresh()
            self.say(error.message, is_problem=True)
            return None

    def _do(self, draft: Draft, chosen: int, merge_key: object = None) -> None:
        if merge_key is not None and merge_key == self._merge_key and self._step:
            self._steps[self._step :] = [draft]
        else:
            self._steps[self._step + 1 :] = [draft]
            self._steps = self._steps[-_MOST_STEPS:]
            self._step = len(self._steps) - 1
        self._merge_key, self._chosen = merge_key, chosen
        self.refresh()

    def undo(self) -> None:
        """Take back the last edit."""
        self._go(-1)

    def redo(self) -> None:
        """Do the last undone edit again."""
        self._go(1)

    def _go(self, by: int) -> None:
        if 0 <= self._step + by < len(self._steps):
            self._step += by
            self._merge_key = None
            self.refresh()

    def add(self) -> None:
        """Insert a layer of the chosen kind behind the chosen layer."""
        kind = KIND_BY_NAME[self.kind.currentData()]
        after = self._try(lambda: self.draft.add(self._chosen, kind()))
        if after is not None:
            self._do(after, chosen=self._chosen + 1)

    def remove(self) -> None:
        """Take the chosen layer out."""
        self._edit(lambda draft, index: draft.remove(index))

    def move_layer(self, by: int) -> None:
        """Exchange the chosen layer with its neighbour."""
        after = self.draft.move(self._chosen, by) if self._chosen >= 0 else self.draft
        if after != self.draft:
            self._do(after, chosen=self._chosen + by)

    def _rename(self, name: str) -> None:
        self._edit(lambda draft, index: draft.rename(index, name))

    def _set_settings(self, settings: Any) -> None:
        key = ("settings", self._chosen)
        self._edit(lambda draft, index: draft.set_settings(index, settings), key)

    # Showing ----------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Show the draft, and where it is wrong."""
        value, draft = self.input.value(), self.draft
        check = check_draft(draft, value.shape, value.outputs, value.task)
        chosen = min(self._chosen, len(draft.layers) - 1)
        self.table.show_rows(layer_rows(draft, check), check.wrong, check.problem)
        marked = None if check.wrong is None else check.wrong + 1
        self.diagram.show_boxes(boxes(draft, check, value.shape), chosen + 1, marked)
        text = f"{len(draft.layers)} layers, {check.parameters:,} parameters"
        if check.wrong is None:
            self.say(f"Works {_TO[value.task]}: {text}.", is_problem=False)
        else:
            self.say(check.problem, is_problem=True)
        if chosen >= 0:
            self.table.choose(chosen)
        self._choose(chosen)

    def _choose(self, index: int) -> None:
        if index < 0:  # the rows are being replaced
            return
        self._chosen = index
        draft = self.draft
        self.layer_form.show_layer(draft.layers[index], draft.names_before(index))
        self.diagram.choose(index + 1)
        self.up_button.setEnabled(index > 0)
        self.down_button.setEnabled(index < len(draft.layers) - 1)
        self.remove_button.setEnabled(len(draft.layers) > 1)
        self.undo_button.setEnabled(self._step > 0)
        self.redo_button.setEnabled(self._step < len(self._steps) - 1)

    def _saved(self) -> tuple[NetworkRecord, ...]:
        project = self._session.project
        return project.networks() if project is not None else ()

    def _show_saved(self) -> None:
        name, names = self.name.text().strip(), {record.name for record in self._saved()}
        self.save_button.setEnabled(bool(name))
        self.save_button.setText("Replace" if name in names and name != self._loaded else "Save")
        self.forget_button.setEnabled(name in names)

    # Keeping ----------------------------------------------------------------------------------

    def save(self) -> None:
        """Keep the network in the project under its name."""
        self._try(self._save)

    def _save(self) -> None:
        name, text = self.name.text().strip(), graph_to_json(self.draft.graph())
        self._session.ensure_project().save_network(name, text)
        self._loaded = name
        self.saved.emit(name)
        self._fill_begin_with(self.input.value().task)
        self._show_saved()
        text = f"'{name}' is saved in the project"
        if self.table.wrong is None:
            self.say(f"{text} and can be chosen in the Train dock.", is_problem=False)
        else:
            self.say(f"{text}, but does not work so far. {self.table.problem}", is_problem=True)

    def forget(self) -> None:
        """Remove the network from the project; its layers stay here."""
        name = self.name.text().strip()
        if self._try(lambda: self._session.ensure_project().remove_network(name) or True) is None:
            return
        self.removed.emit(name)
        self._fill_begin_with(self.input.value().task)
        self._show_saved()
        self.say(
            f"'{name}' is no longer in the project. Save brings these layers back.",
            is_problem=False,
        )

    def import_graph(self) -> None:
        """Read layers from a file, in place of those here."""
        found = self._try(lambda: ask_and_read_graph(self))
        if found:
            name, graph = found
            self._loaded = ""
            self._do(Draft(graph.layers), chosen=0)
            self.name.setText(self._free_name(name))

    def export_graph(self) -> None:
        """Write the layers to a file."""
        self._try(lambda: ask_and_write_graph(self, self.name.text().strip(), self.draft.graph()))

    def ask_table(self) -> None:
        """Show the network table of these layers."""
        text = self._try(lambda: graph_to_json(self.draft.graph()))
        if text:
            self.table_wanted.emit(text, self.name.text().strip() or "these layers")
