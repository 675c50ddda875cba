"""The tables of a project file, and the hash that every row carries."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

#: ``PRAGMA application_id`` of a project file: the letters "CNVT".
APPLICATION_ID = 0x434E5654
#: ``PRAGMA user_version``: the newest format that this program reads and the one that it writes.
FORMAT_VERSION = 3

#: What format 1 consists of, kept word for word in every file, so that the file explains itself.
SCHEMA_1 = """
CREATE TABLE image (
    -- An image that annotations refer to. Its pixels stay where they are.
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    source TEXT NOT NULL,            -- path or address; empty if the image exists in memory only
    shape TEXT NOT NULL,             -- JSON list of integers, one per axis
    dtype TEXT NOT NULL,             -- numpy's name, such as uint16
    axes TEXT NOT NULL,              -- one letter per axis, such as TZCYX
    pixel_size TEXT NOT NULL,        -- JSON list of numbers, one per scaled axis
    units TEXT NOT NULL,             -- JSON list of strings, one per scaled axis
    content_sha256 TEXT NOT NULL,    -- of the pixels, or of a sample of them
    added_at TEXT NOT NULL,          -- ISO 8601, UTC, as every time in this file
    sha256 TEXT NOT NULL             -- of this row, as in every table
) STRICT;

CREATE TABLE class (
    -- Label value 0 means "not annotated"; value k means the class with value k.
    task TEXT NOT NULL,              -- classify or segment
    value INTEGER NOT NULL,          -- 1 to 255 without a gap
    name TEXT NOT NULL,
    colour TEXT NOT NULL,            -- #rrggbb
    sha256 TEXT NOT NULL,
    PRIMARY KEY (task, value)
) STRICT, WITHOUT ROWID;

CREATE TABLE object_class (
    -- The class of one object (cell) of a label image.
    image_id INTEGER NOT NULL REFERENCES image (id),
    labels_name TEXT NOT NULL,       -- which label image
    plane TEXT NOT NULL,             -- JSON list: indices along the axes before Y and X, or []
    label INTEGER NOT NULL,          -- the object's value in the label image
    centre_y REAL NOT NULL,          -- in pixels
    centre_x REAL NOT NULL,
    value INTEGER NOT NULL,          -- class of the task classify
    annotated_by TEXT NOT NULL,      -- person or model
    annotated_at TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    PRIMARY KEY (image_id, labels_name, plane, label)
) STRICT, WITHOUT ROWID;

CREATE TABLE patch (
    -- A square of size x size pixels with a class of the task classify.
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    image_id INTEGER NOT NULL REFERENCES image (id),
    plane TEXT NOT NULL,
    centre_y REAL NOT NULL,
    centre_x REAL NOT NULL,
    size INTEGER NOT NULL,
    value INTEGER NOT NULL,
    annotated_at TEXT NOT NULL,
    sha256 TEXT NOT NULL
) STRICT;

CREATE TABLE painted_tile (
    -- Painted class values of the task segment, 256 x 256 pixels; an empty tile has no row.
    image_id INTEGER NOT NULL REFERENCES image (id),
    plane TEXT NOT NULL,
    tile_y INTEGER NOT NULL,         -- the tile's first pixel is (256 * tile_y, 256 * tile_x)
    tile_x INTEGER NOT NULL,
    pixels BLOB NOT NULL,            -- zlib stream of 65,536 bytes, row by row
    painted_at TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    PRIMARY KEY (image_id, plane, tile_y, tile_x)
) STRICT;

CREATE TABLE run (
    -- One training.
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    task TEXT NOT NULL,
    network TEXT NOT NULL,           -- id in the catalogue of networks
    settings TEXT NOT NULL,          -- JSON object
    data TEXT NOT NULL,              -- JSON object: what was trained on
    started_at TEXT NOT NULL,
    ended_at TEXT,                   -- null until the run has ended
    outcome TEXT,                    -- finished, stopped, failed; null until the run has ended
    scores TEXT NOT NULL,            -- JSON object
    message TEXT NOT NULL,
    model_sha256 TEXT,               -- of the best model's .safetensors bytes; null if none
    model_size INTEGER,              -- in bytes
    sha256 TEXT NOT NULL
) STRICT;

CREATE TABLE epoch (
    -- The curve values of one epoch of a run.
    run_id INTEGER NOT NULL REFERENCES run (id),
    epoch INTEGER NOT NULL,
    curves TEXT NOT NULL,            -- JSON object: number or null (not finite) by name
    sha256 TEXT NOT NULL,
    PRIMARY KEY (run_id, epoch)
) STRICT, WITHOUT ROWID;

CREATE TABLE model_part (
    -- The .safetensors file of a run's best model in parts; counts once run.model_sha256 is set.
    run_id INTEGER NOT NULL REFERENCES run (id),
    part INTEGER NOT NULL,           -- 0, 1, ...
    bytes BLOB NOT NULL,
    PRIMARY KEY (run_id, part)
) STRICT;

CREATE TABLE opened_by (
    -- The program that has the project open for writing: one row or none.
    id INTEGER PRIMARY KEY CHECK (id = 1),
    token TEXT NOT NULL,             -- random, one per opening
    pid INTEGER NOT NULL,
    process_start TEXT NOT NULL,     -- tells a process from a later one with its pid; or empty
    host TEXT NOT NULL,
    since TEXT NOT NULL
) STRICT;
"""

#: The tables that each later format added; nothing of an older one ever changes.
ADDED: dict[int, tuple[str, ...]] = {
    2: (
        """
CREATE TABLE position (
    -- A point in a plane, such as the middle of a bead: the task locate.
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    image_id INTEGER NOT NULL REFERENCES image (id),
    plane TEXT NOT NULL,
    y REAL NOT NULL,                 -- in pixels; the middle of the first pixel is (0, 0)
    x REAL NOT NULL,
    value INTEGER NOT NULL,          -- class of the task locate; 0 for none
    annotated_by TEXT NOT NULL,      -- person or model
    annotated_at TEXT NOT NULL,
    sha256 TEXT NOT NULL
) STRICT""",
        """
CREATE TABLE image_split (
    -- What an image is used for, chosen by a person; an image without a row is split automatically.
    image_id INTEGER PRIMARY KEY REFERENCES image (id),
    split TEXT NOT NULL,             -- training, validation or test
    sha256 TEXT NOT NULL
) STRICT""",
        """
CREATE TABLE image_file (
    -- The file that image.source named, as it was when the image was added.
    image_id INTEGER PRIMARY KEY REFERENCES image (id),
    size INTEGER NOT NULL,           -- in bytes
    modified TEXT NOT NULL,
    sha256 TEXT NOT NULL
) STRICT""",
    ),
    3: (
        """
CREATE TABLE run_checkpoint (
    -- The state from which a run that did not come to its end can go on.
    run_id INTEGER PRIMARY KEY REFERENCES run (id),
    generation INTEGER NOT NULL,     -- which of the parts count
    step INTEGER NOT NULL,           -- training steps that were done
    content_sha256 TEXT NOT NULL,    -- of the parts joined in order
    size INTEGER NOT NULL,           -- of them, in bytes
    kept_at TEXT NOT NULL,
    sha256 TEXT NOT NULL
) STRICT""",
        """
CREATE TABLE checkpoint_part (
    -- A .safetensors file in parts; others than those of run_checkpoint.generation count for nothing.
    run_id INTEGER NOT NULL REFERENCES run (id),
    generation INTEGER NOT NULL,
    part INTEGER NOT NULL,           -- 0, 1, ...
    bytes BLOB NOT NULL,
    PRIMARY KEY (run_id, generation, part)
) STRICT""",
        """
CREATE TABLE network (
    -- Layers that a person has put together.
    name TEXT PRIMARY KEY NOT NULL,
    graph TEXT NOT NULL,             -- JSON, as in a model file's settings of the network "custom"
    sha256 TEXT NOT NULL
) STRICT""",
    ),
}


@dataclass(frozen=True)
class Table:
    """A table whose rows carry a hash: its key columns, and all columns but ``sha256``."""

    name: str
    keys: tuple[str, ...]
    columns: tuple[str, ...]
    task: str = ""
    since: int = 1

    @property
    def select(self) -> str:
        """The statement that reads all columns, ``sha256`` last."""
        return f"SELECT {', '.join(self.columns)}, sha256 FROM {self.name}"

    @property
    def same_key(self) -> str:
        """The condition that finds one row by its key columns."""
        return " AND ".join(f"{key} = ?" for key in self.keys)

    @property
    def upsert(self) -> str:
        """The statement that inserts a row or replaces the one with the same key."""
        names = (*self.columns, "sha256")
        changes = ", ".join(f"{name} = excluded.{name}" for name in names if name not in self.keys)
        return (
            f"INSERT INTO {self.name} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))}) "
            f"ON CONFLICT ({', '.join(self.keys)}) DO UPDATE SET {changes}"
        )


def _table(name: str, keys: str, others: str, task: str = "", since: int = 1) -> Table:
    return Table(name, tuple(keys.split()), (*keys.split(), *others.split()), task, since)


#: Every table whose rows carry a hash; columns in the order that the hash is taken over.
#: ``task``: whose class values the rows hold; ``since``: the first format that has the table.
TABLES = {
    table.name: table
    for table in (
        _table(
            "image", "id", "name source shape dtype axes pixel_size units content_sha256 added_at"
        ),
        _table("class", "task value", "name colour"),
        _table(
            "object_class",
            "image_id labels_name plane label",
            "centre_y centre_x value annotated_by annotated_at",
            task="classify",
        ),
        _table(
            "patch",
            "id",
            "image_id plane centre_y centre_x size value annotated_at",
            task="classify",
        ),
        _table("painted_tile", "image_id plane tile_y tile_x", "pixels painted_at", task="segment"),
        _table(
            "run",
            "id",
            "task network settings data started_at ended_at outcome scores message "
            "model_sha256 model_size",
        ),
        _table("epoch", "run_id epoch", "curves"),
        _table(
            "position",
            "id",
            "image_id plane y x value annotated_by annotated_at",
            task="locate",
            since=2,
        ),
        _table("image_split", "image_id", "split", since=2),
        _table("image_file", "image_id", "size modified", since=2),
        _table("run_checkpoint", "run_id", "generation step content_sha256 size kept_at", since=3),
        _table("network", "name", "graph", since=3),
    )
}


def row_sha256(table: str, values: Sequence[Any]) -> str:
    """Return the hash of a row: SHA-256 of the JSON list of the table's name and its values.

    A blob stands in the list as its own SHA-256 in hexadecimal.
    """
    plain = [hashlib.sha256(v).hexdigest() if isinstance(v, bytes) else v for v in values]
    return hashlib.sha256(json.dumps([table, *plain]).encode()).hexdigest()


def format_version(connection: sqlite3.Connection) -> int:
    """Return the version of a file's format."""
    return connection.execute("PRAGMA user_version").fetchone()[0]


def lend_tables(connection: sqlite3.Connection) -> None:
    """Give a reader of an older format, in memory, the tables that the file does not have."""
    connection.execute("PRAGMA temp_store = MEMORY")
    for version in range(format_version(connection) + 1, FORMAT_VERSION + 1):
        for statement in ADDED[version]:
            connection.execute(statement.replace("CREATE TABLE", "CREATE TEMP TABLE", 1))
