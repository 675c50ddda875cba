"""The Annotate dock: project, task, image, classes, and a tool to annotate with."""

from __future__ import annotations

from functools import partial

from napari.utils.notifications import show_warning
from napari.viewer import Viewer
from qtpy.QtWidgets import QButtonGroup

from napari_convnet.widgets.annotation_tools import AnnotationTool
from napari_convnet.widgets.axes import settle_all
from napari_convnet.widgets.class_table import ClassTable
from napari_convnet.widgets.controls import push_button, row, scrolling_column, text_line
from napari_convnet.widgets.dock import Dock
from napari_convnet.widgets.exchange_dialog import ExchangeBar
from napari_convnet.widgets.first_labels_panel import FirstLabelsPanel
from napari_convnet.widgets.image_list import ImageList
from napari_convnet.widgets.image_opening import ImageOpener
from napari_convnet.widgets.instant_preview import InstantPreview
from napari_convnet.widgets.key_card import KeyCard
from napari_convnet.widgets.messages import guarded
from napari_convnet.widgets.next_to_label import NextToLabel
from napari_convnet.widgets.patch_form import PatchForm
from napari_convnet.widgets.position_form import PositionForm
from napari_convnet.widgets.project_bar import ProjectBar
from napari_convnet.widgets.source import Source, source_layers
from napari_convnet.widgets.source_picker import SourcePicker
from napari_convnet.widgets.tools import TASKS, TOOLS, name_of


class AnnotateDock(Dock):
    """Annotate cells, patches and pixels; everything is saved as it is made."""

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__(napari_viewer)
        self._opener = ImageOpener(self, self.session)
        self._build()
        self._connect()
        if self.session.source.image_ids:
            self.picker.set_value(self.session.source)
        self.session.set_source(self.picker.value())
        self._show_task()
        self._show_source()

    @property
    def active_tool(self) -> AnnotationTool | None:
        """The tool that clicks and strokes go to."""
        return self.session.active_tool

    # The form ---------------------------------------------------------------------------------

    def _build(self) -> None:
        self.project_bar = ProjectBar(self.session)
        self.task_buttons = {
            task: push_button(text, tip, checkable=True) for task, (text, tip) in TASKS.items()
        }
        self.picker = SourcePicker(self.session.viewer)
        self.exchange = ExchangeBar(self.session, self)
        self.image_list = ImageList(self, self.session)
        self.first_labels = FirstLabelsPanel(self, self.session)
        self.class_table = ClassTable(self.session)
        self.tool_buttons = {
            name: push_button(entry.tool.title, "\n".join(entry.tips), checkable=True)
            for name, entry in TOOLS.items()
        }
        self._task_group, self._tool_group = QButtonGroup(self), QButtonGroup(self)
        for group, buttons in (
            (self._task_group, self.task_buttons),
            (self._tool_group, self.tool_buttons),
        ):
            for button in buttons.values():
                group.addButton(button)
        self.patch_form, self.position_form = PatchForm(self.session), PositionForm()
        self._tool_forms = {"pick_patches": self.patch_form, "mark_positions": self.position_form}
        self.instant_preview = InstantPreview(self, self.session)
        self.key_card = KeyCard(self)
        self.keys_button = push_button(
            "? Keys", "Show all keys and mouse gestures (F1).", self.show_keys
        )
        self.status = text_line("What to do next")
        self.next_to_label = NextToLabel(self, self.session, self.status.setText)
        column = scrolling_column(self)
        column.addWidget(self.project_bar)
        column.addWidget(self.exchange)
        column.addWidget(self.image_list)
        column.addLayout(row(*self.task_buttons.values()))
        column.addWidget(self.picker)
        column.addWidget(self.first_labels)
        column.addWidget(self.class_table)
        tools = (*self.tool_buttons.values(), self.instant_preview.button, self.keys_button)
        column.addLayout(row(*tools))
        for form in self._tool_forms.values():
            column.addWidget(form)
        column.addWidget(self.instant_preview.words)
        column.addWidget(self.status)
        column.addStretch()

    def _connect(self) -> None:
        session = self.session
        for task, button in self.task_buttons.items():
            button.clicked.connect(partial(self._choose_task, task))
        for name, button in self.tool_buttons.items():
            button.clicked.connect(partial(self._use_tool_clicked, name))
        self.picker.changed.connect(self._choose_source)
        for form in self._tool_forms.values():
            form.changed.connect(self._set_form)
        session.source_changed.connect(self._show_source)
        session.task_changed.connect(self._show_task)
        session.classes_changed.connect(self._show_classes)
        session.annotations_changed.connect(self._show_status)
        session.tool_changed.connect(self._show_tool)
        session.busy_changed.connect(self._show_status)
        session.viewer.layers.selection.events.active.connect(self._show_tool)
        self.offer(
            click_cells=self.click_cells, pick_patches=self.pick_patches, paint_strokes=self.paint_strokes,
            mark_positions=self.mark_positions, show_keys=self.show_keys,
            undo=session.undo, redo=session.redo, next_class=self.next_class, add_class=self.class_table.add,
            new_project=self.project_bar.new, open_project=self.project_bar.open,
            next_to_label=self.next_to_label.jump, find_cells=self.first_labels.unfold,
            next_image=self.image_list.next_image, previous_image=self.image_list.previous_image,
        )  # fmt: skip

    def release(self) -> None:
        """Let go of the viewer, which outlives the dock."""
        self.key_card.close()
        previews = (self.first_labels, self.instant_preview)
        for part in (self.picker, self.image_list, *previews, self.next_to_label):
            part.release()
        self.session.viewer.layers.selection.events.active.disconnect(self._show_tool)

    def _show_task(self) -> None:
        self.task_buttons[self.session.task].setChecked(True)
        for name, entry in TOOLS.items():
            for control in (self.tool_buttons[name], self._tool_forms.get(name)):
                if control is not None:
                    control.setVisible(entry.task == self.session.task)
        self.picker.show_cells(self.session.task == "classify")
        self.first_labels.setVisible(self.session.task == "classify")
        tool = self.active_tool
        if tool is not None and self.session.task != TOOLS[name_of(tool)].task:
            self.session.set_tool(None)
        self._show_tool()

    def _show_source(self) -> None:
        self.picker.set_value(self.session.source)
        self.tool_buttons["click_cells"].setEnabled(bool(self.session.source.labels_id))
        tool = self.active_tool
        if tool is not None and tool.image.source != self._source_for(name_of(tool)):
            self.session.set_tool(None)

    def _show_tool(self, _event: object = None) -> None:
        """Press the button of the tool that clicks and keys reach, and no other."""
        is_reached = self.active_tool is not None and self.active_tool.is_selected
        self._tool_group.setExclusive(False)
        for name, button in self.tool_buttons.items():
            button.setChecked(is_reached and isinstance(self.active_tool, TOOLS[name].tool))
        self._tool_group.setExclusive(True)
        self._show_status()

    def _show_classes(self) -> None:
        if self.active_tool is not None:
            guarded(self.active_tool.show_classes)
        self._show_status()

    def _show_status(self) -> None:
        if self.session.history.busy_with:
            self.status.setText(f"Please wait: {self.session.history.busy_with}…")
            return
        if self.active_tool is None or not self.active_tool.is_selected:
            self.status.setText(self._first_step())
            return
        if self.session.project is not None and self.session.project.read_only:
            self.status.setText(
                "The project is open for reading only: annotations cannot be changed."
            )
            return
        name = self.session.classes[self.session.current_class - 1].name
        tips = " ".join(TOOLS[name_of(self.active_tool)].tips)
        self.status.setText(f"{tips} Chosen: {name}. Saved as you go; Ctrl+Z undoes.")

    def _first_step(self) -> str:
        """Say what to do before a tool is chosen."""
        source = self.session.source
        if not source.image_ids:
            return "Open an image (File > Open) and tick it."
        if self.session.task == "segment":
            return "Choose a class and press Paint strokes."
        if self.session.task == "locate":
            return "Press Mark positions and click the objects."
        if not source.labels_id:
            return "Find cells… to click them, or Pick patches."
        return "Choose a class and press Click cells, or Pick patches."

    # What happens -----------------------------------------------------------------------------

    def _choose_task(self, task: str, _checked: bool = False) -> None:
        self.session.set_task(task)

    def _choose_source(self) -> None:
        self.session.set_source(self.picker.value())

    def _use_tool_clicked(self, name: str, _checked: bool = False) -> None:
        self.use_tool(name)

    def _set_form(self) -> None:
        """Give a tool the options of its form."""
        name = name_of(self.active_tool) if self.active_tool is not None else ""
        if name in self._tool_forms:
            self._tool_forms[name].apply(self.active_tool)

    def use_tool(self, name: str) -> None:
        """Choose a tool; the image is looked at in the background first."""
        self.session.set_task(TOOLS[name].task)
        guarded(lambda: self._begin(name))
        self._show_tool()
        if self._opener.is_busy:
            self.status.setText("Looking at the image…")

    def _source_for(self, name: str) -> Source:
        """Return the layers that a tool works on; all but cells belongs to the image alone."""
        source = self.session.source
        return source if name == "click_cells" else Source(source.image_ids)

    def _begin(self, name: str) -> None:
        source = self._source_for(name)
        if name == "click_cells" and source.image_ids and not source.labels_id:
            show_warning(
                "There is no label layer of cells. Choose one under Cells, or use Pick patches."
            )
            return
        if not self._settle_axes(source):
            return
        source = self._source_for(name)
        self._opener.check(source)
        self.session.ensure_project()
        self._opener.open(source, partial(self._opened, name, source))

    def _settle_axes(self, source: Source) -> bool:
        """Make sure that the axes of the chosen images are known; False when the person did not say."""
        viewer = self.session.viewer
        images = source_layers(viewer, source)[0] if source.image_ids else []
        ids = settle_all(viewer, images, self)
        if ids is not None and ids != source.image_ids:  # channels have become layers
            self.picker.set_value(Source(ids, self.session.source.labels_id))
        return ids is not None

    def _opened(self, name: str, source: Source, is_open: bool) -> None:
        # The person may have gone on to other layers or another task in the meantime.
        if is_open and source == self._source_for(name) and self.session.task == TOOLS[name].task:
            guarded(lambda: self._activate(name, source))
        self._show_tool()

    def _activate(self, name: str, source: Source) -> None:
        image = self.session.open_images[source]
        tool = self.session.tools.get((name, source))
        if tool is None or tool.image is not image:
            tool = self.session.tools[name, source] = TOOLS[name].tool(self.session, image)
        tool.start()
        self.session.set_tool(tool)
        self._set_form()
        self.session.annotations_changed.emit()

    # Verbs ------------------------------------------------------------------------------------

    def click_cells(self) -> None:
        """Annotate by clicking cells."""
        self.use_tool("click_cells")

    def pick_patches(self) -> None:
        """Annotate by picking patches."""
        self.use_tool("pick_patches")

    def paint_strokes(self) -> None:
        """Annotate by painting."""
        self.use_tool("paint_strokes")

    def mark_positions(self) -> None:
        """Annotate by marking positions."""
        self.use_tool("mark_positions")

    def show_keys(self) -> None:
        """Show all keys and mouse gestures."""
        self.key_card.show_again()

    def next_class(self) -> None:
        """Choose the next class, after the last one the first."""
        self.session.set_current_class(self.session.current_class % len(self.session.classes) + 1)
