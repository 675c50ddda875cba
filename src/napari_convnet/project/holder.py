"""Who has a project open for writing: one row in the file, and whether that program still runs."""

from __future__ import annotations

import os
import secrets
import socket
import sqlite3
from collections.abc import Container
from dataclasses import astuple, dataclass
from pathlib import Path

from napari_convnet.atomic import is_running
from napari_convnet.project.records import now


@dataclass(frozen=True)
class Holder:
    """A program that has a project open for writing."""

    token: str
    pid: int
    process_start: str
    host: str
    since: str

    def __str__(self) -> str:
        return (
            f"process {self.pid} on {self.host[:60]}, since {self.since[:16].replace('T', ' ')} UTC"
        )


def this_program() -> Holder:
    """Return a new holder for this process."""
    pid = os.getpid()
    return Holder(secrets.token_hex(16), pid, process_start(pid), socket.gethostname(), now())


def process_start(pid: int) -> str:
    """Return what tells a process from a later one with the same id; empty if not known."""
    try:
        ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except (OSError, IndexError):
        return ""
    return f"{boot}/{ticks}"


def is_stale(holder: Holder, tokens_here: Container[str]) -> bool:
    """Return whether the holder is known to be gone; another computer's never is.

    ``tokens_here`` are the tokens of the projects that this process has open.
    """
    if holder.host != socket.gethostname():
        return False
    if holder.pid == os.getpid():
        return holder.token not in tokens_here
    return (
        holder.pid <= 0
        or not is_running(holder.pid)
        or holder.process_start != process_start(holder.pid)
    )


def read_holder(connection: sqlite3.Connection) -> Holder | None:
    """Return who the file says has it open for writing."""
    row = connection.execute(
        "SELECT token, pid, process_start, host, since FROM opened_by"
    ).fetchone()
    return Holder(*row) if row else None


def write_holder(connection: sqlite3.Connection, holder: Holder) -> None:
    """Write the holder into the file, in place of any other."""
    connection.execute(
        "INSERT OR REPLACE INTO opened_by (id, token, pid, process_start, host, since) "
        "VALUES (1, ?, ?, ?, ?, ?)",
        astuple(holder),
    )
