"""The commands ``import`` and ``export``: a project's annotations from and to the formats of other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_convnet.errors import UserError

ProjectFile = Annotated[Path, typer.Argument(help="A .convnet file.", show_default=False)]
FormatName = Annotated[str, typer.Argument(metavar="FORMAT", show_default=False, help="See below.")]
Size = Annotated[
    int, typer.Option(min=1, max=4096, help="Side of a patch in pixels, where the data say none.")
]
Task = Annotated[
    str,
    typer.Option(help="Whose class table (classify, segment), or locate: points are positions."),
]

_IMPORTS = "FORMAT is images, patches, painted, objects, instances, points, shapes, coco, cellpose or classes."
_EXPORTS = "FORMAT is patches, painted, instances, points, shapes, coco, table or classes."


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command("import", epilog=_IMPORTS)(import_annotations)
    app.command("export", epilog=_EXPORTS)(export_annotations)


def import_annotations(
    project: ProjectFile,
    format_name: FormatName,
    paths: Annotated[list[Path], typer.Argument(help="Files or folders to read.")],
    class_name: Annotated[
        str, typer.Option("--class", help="Class of rows that name none, and of cellpose's masks.")
    ] = "",
    size: Size = 48,
    add_classes: Annotated[
        bool, typer.Option("--add-classes", help="Add classes that the project lacks.")
    ] = False,
    image: Annotated[
        str, typer.Option(help="Name of the image that a table of points or shapes belongs to.")
    ] = "",
    task: Task = "classify",
    axes: Annotated[
        str, typer.Option(help="Axes of stacks that are added by `images`, such as ZYX or CYX.")
    ] = "",
    convert_decimals: Annotated[
        bool, typer.Option("--convert-decimals", help="Take label images of decimals (1.0, 2.0).")
    ] = False,
) -> None:
    """Read annotations into a project, all of them or none.

    Images are matched by path or file name: `import PROJECT images FOLDER` makes them known (and the
    project, if there is none yet).
    """
    from napari_convnet.cli.console import follow, say
    from napari_convnet.exchange import ImportOptions, import_files
    from napari_convnet.project import Project

    options = ImportOptions(class_name, size, add_classes, image, task, axes, convert_decimals)
    is_new = format_name == "images" and not project.exists()
    with (Project.create if is_new else Project.open)(project) as opened:
        _refuse_read_only(opened)
        result = follow(import_files(opened, format_name, paths, options), "Import")
        say(result.summary)


def export_annotations(
    project: ProjectFile,
    format_name: FormatName,
    output: Annotated[Path, typer.Option("--output", "-o", help="File or new folder.")],
    labels: Annotated[
        list[Path] | None,
        typer.Option(help="Label images of the cells: files, or folders of them."),
    ] = None,
    size: Size = 48,
    png: Annotated[bool, typer.Option("--png", help="8-bit PNG patches, not 16-bit TIFF.")] = False,
    task: Task = "classify",
) -> None:
    """Write a project's annotations in a format that other programs read."""
    from napari_convnet.cli.console import follow, say
    from napari_convnet.exchange import ExportOptions, Pixels, export_project
    from napari_convnet.project import Project

    options = ExportOptions(size, "png" if png else "tiff", task)
    with Project.open(project, read_only=True) as opened:
        pixels = Pixels(label_places=tuple(labels or ()))
        result = follow(export_project(opened, format_name, output, pixels, options), "Export")
        say(result.summary)


def _refuse_read_only(project) -> None:
    if project.read_only:
        raise UserError(
            "CN-305", f"Not imported: the project is read-only ({project.read_only_reason})."
        )
