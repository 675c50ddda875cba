"""Checkpoints of a project: from what a training that did not come to its end can go on."""

from __future__ import annotations

import hashlib

from napari_convnet.project.faults import short_name
from napari_convnet.project.parts import read_parts, write_parts
from napari_convnet.project.records import now
from napari_convnet.project.store import Store, put


class Checkpoints:
    """The part of `Project` that keeps the last state of each unfinished run; it does not look inside."""

    _store: Store

    def save_checkpoint(self, run_id: int, step: int, content: bytes) -> None:
        """Keep the state of a run in place of the one before, which stays until this one is complete.

        Parameters
        ----------
        step
            Training steps that were done.
        content
            Bytes of a `napari_convnet.training.Checkpoint`.
        """
        run_id, step = int(run_id), int(step)
        before = self._checkpoint_values(run_id)
        generation = before[1] + 1 if before else 1
        key = {"run_id": run_id, "generation": generation}
        write_parts(self._store, "checkpoint_part", key, content)
        digest = hashlib.sha256(content).hexdigest()
        row = (run_id, generation, step, digest, len(content), now())
        with self._store.transaction() as connection:
            put(connection, "run_checkpoint", row)
            connection.execute(
                "DELETE FROM checkpoint_part WHERE run_id = ? AND generation <> ?",
                (run_id, generation),
            )

    def checkpoint(self, run_id: int) -> bytes | None:
        """Return the last state of a run, None if none is kept.

        Raises
        ------
        UserError
            CN-303 if the bytes are not those that were written.
        """
        values = self._checkpoint_values(int(run_id))
        if values is None:
            return None
        run_id, generation, _, written, size, _ = values
        return read_parts(
            self._store,
            "checkpoint_part",
            {"run_id": run_id, "generation": generation},
            size=size,
            sha256=written,
            refusal=f"The state of run {run_id} in '{short_name(self._store.path)}' is damaged, so it "
            "cannot go on. Annotations and models are safe. Train again.",
        )

    def checkpoint_step(self, run_id: int) -> int | None:
        """Return at which training step a run can go on, None if it cannot."""
        values = self._checkpoint_values(int(run_id))
        return values[2] if values else None

    def delete_checkpoint(self, run_id: int) -> None:
        """Forget the state of a run that will not go on."""
        with self._store.transaction() as connection:
            for table in ("checkpoint_part", "run_checkpoint"):
                connection.execute(f"DELETE FROM {table} WHERE run_id = ?", (int(run_id),))

    def _checkpoint_values(self, run_id: int) -> tuple | None:
        found = self._store.records(
            "run_checkpoint", lambda *values: values, "WHERE run_id = ?", (run_id,)
        )
        return found[0] if found else None
