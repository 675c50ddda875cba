"""Options that say what of the data is used for what, each written once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

GroupsFile = Annotated[
    Path | None,
    typer.Option(metavar="TABLE.csv", help="Table that names each file's group, instead of --groups."),
]  # fmt: skip
GroupsColumn = Annotated[
    str, typer.Option(metavar="NAME", show_default="the other one", help="Column of groups.")
]
Test = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", help="Never seen by training; scored once, at the end."),
]
TestFraction = Annotated[
    float,
    typer.Option(min=0.0, max=0.9, help="Share of the data (whole groups) to set aside as such a test set."),
]  # fmt: skip
SkipBroken = Annotated[
    bool, typer.Option("--skip-broken", help="Leave out images that cannot be read, and name them.")
]
Folds = Annotated[
    int,
    typer.Option(
        min=0,
        show_default="none",
        help="Cross-validate: train so many models, each scored on a part that it never saw; -o is a folder.",
    ),
]
