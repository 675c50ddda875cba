"""Training runs of a project: data, settings, curves, scores and the best model of each."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from napari_convnet.errors import UserError
from napari_convnet.project.checkpoints import Checkpoints
from napari_convnet.project.faults import short_name
from napari_convnet.project.parts import read_parts, write_parts
from napari_convnet.project.records import (
    EpochRecord,
    RunRecord,
    json_object,
    now,
    plain_text,
    read_object,
)
from napari_convnet.project.store import Store, next_id, put

OUTCOMES = ("finished", "stopped", "failed")


class Runs(Checkpoints):
    """The part of `Project` that knows training runs."""

    _store: Store

    def __init__(self) -> None:
        self._started_here: set[int] = set()

    def start_run(
        self, task: str, network: str, settings: Mapping[str, Any], data: Mapping[str, Any]
    ) -> int:
        """Begin the record of a training and return its id.

        ``settings`` and ``data`` (what is trained on) are plain values; numbers that are not finite
        are stored as None.
        """
        texts = (plain_text(task), plain_text(network), json_object(settings), json_object(data))
        with self._store.transaction() as connection:
            run_id = next_id(connection, "run")
            put(connection, "run", (run_id, *texts, now(), None, None, "{}", "", None, None))
        self._started_here.add(run_id)
        return run_id

    def continue_run(self, run_id: int) -> None:
        """Go on with the record of a training that was interrupted or stopped; what it has stays until it ends.

        Raises
        ------
        UserError
            CN-331 if there is no such run.
        """
        values = self._run_values(int(run_id))
        with self._store.transaction() as connection:
            put(connection, "run", (*values[:6], None, None, *values[8:]))
        self._started_here.add(int(run_id))

    def record_epoch(self, run_id: int, epoch: int, curves: Mapping[str, float]) -> None:
        """Write the curve values of one epoch."""
        text = json_object(curves)
        with self._store.transaction() as connection:
            put(connection, "epoch", (int(run_id), int(epoch), text))

    def finish_run(
        self,
        run_id: int,
        outcome: str,
        scores: Mapping[str, Any],
        model_bytes: bytes | None = None,
        message: str = "",
    ) -> None:
        """End the record of a training, with the bytes of its best model's ``.safetensors`` file.

        Raises
        ------
        UserError
            CN-331 if there is no such run, CN-336 if ``outcome`` is none of finished, stopped,
            failed.
        """
        if outcome not in OUTCOMES:
            raise UserError("CN-336", f"'{outcome}' is no outcome of {', '.join(OUTCOMES)}.")
        ending = (now(), outcome, json_object(scores), plain_text(message))
        kept = self._run_values(run_id)[:6]
        model: tuple[str | None, int | None] = (None, None)
        if model_bytes is not None:
            model = (hashlib.sha256(model_bytes).hexdigest(), len(model_bytes))
            write_parts(self._store, "model_part", {"run_id": run_id}, model_bytes)
        with self._store.transaction() as connection:
            put(connection, "run", (*kept, *ending, *model))
        self._started_here.discard(run_id)
        if outcome == "finished":
            self.delete_checkpoint(run_id)

    def runs(self) -> tuple[RunRecord, ...]:
        """Return the runs in the order in which they were started."""
        is_live = self._store.is_written_elsewhere()
        return self._store.records(
            "run",
            lambda run_id, *others: _decode_run(
                "running" if is_live or run_id in self._started_here else "interrupted",
                run_id,
                *others,
            ),
            "ORDER BY id",
        )

    def epochs(self, run_id: int) -> tuple[EpochRecord, ...]:
        """Return the curve values of a run in the order of its epochs."""
        return self._store.records(
            "epoch",
            lambda _, epoch, curves: EpochRecord(epoch, read_object(curves)),
            "WHERE run_id = ? ORDER BY epoch",
            (run_id,),
        )

    def model_bytes(self, run_id: int) -> bytes | None:
        """Return the bytes of a run's best model, None if it has none.

        Raises
        ------
        UserError
            CN-331 if there is no such run, CN-303 if the bytes are not those that were written.
        """
        written, size = self._run_values(run_id)[-2:]
        if written is None:
            return None
        return read_parts(
            self._store,
            "model_part",
            {"run_id": run_id},
            size=size,
            sha256=written,
            refusal=f"The model of run {run_id} in '{short_name(self._store.path)}' is damaged "
            "and was not loaded. Train again, or open a backup of the project.",
        )

    def delete_model(self, run_id: int) -> None:
        """Forget the model of a run that has ended; its settings, curves and scores stay.

        Raises
        ------
        UserError
            CN-331 if there is no such run.
        """
        kept = self._run_values(run_id)[:-2]
        with self._store.transaction() as connection:
            put(connection, "run", (*kept, None, None))
            connection.execute("DELETE FROM model_part WHERE run_id = ?", (run_id,))

    def _run_values(self, run_id: int) -> tuple[Any, ...]:
        found = self._store.records("run", lambda *values: values, "WHERE id = ?", (run_id,))
        if not found:
            raise UserError("CN-331", f"Run {run_id} is not in '{short_name(self._store.path)}'.")
        return found[0]


def _decode_run(
    unfinished: str,
    run_id: int,
    task: str,
    network: str,
    settings: str,
    data: str,
    *others: Any,
) -> RunRecord:
    started_at, ended_at, outcome, scores, message, model_sha256, model_size = others
    return RunRecord(
        run_id,
        task,
        network,
        read_object(settings),
        read_object(data),
        started_at,
        ended_at or "",
        outcome or unfinished,
        read_object(scores),
        message,
        model_sha256 or "",
        model_size or 0,
    )
