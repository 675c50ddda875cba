"""Networks of a project: layers that a person has put together, kept by name as text that is not looked into."""

from __future__ import annotations

from napari_convnet.errors import UserError
from napari_convnet.project.faults import short_name
from napari_convnet.project.records import NetworkRecord, plain_text
from napari_convnet.project.store import Store, put

MAX_NAME = 40
MAX_CHARACTERS = 100_000


class Networks:
    """The part of `Project` that knows networks."""

    _store: Store

    def save_network(self, name: str, graph: str) -> None:
        """Keep a network, in place of the one of the same name.

        Parameters
        ----------
        name
            1 to 40 characters that can be seen.
        graph
            Its layers as JSON, see `napari_convnet.networks.graph_to_json`.

        Raises
        ------
        UserError
            CN-338 for a name or a text that cannot be kept; CN-301 or CN-305 if nothing can be written.
        """
        name = plain_text(name).strip()
        if not 1 <= len(name) <= MAX_NAME or not name.isprintable():
            raise UserError(
                "CN-338",
                f"Not saved: '{name[:60]}' is no name for a network. Use 1 to {MAX_NAME} letters, digits and blanks.",
            )
        if len(graph) > MAX_CHARACTERS:
            raise UserError(
                "CN-338",
                f"Not saved: '{name}' has {len(graph):,} characters of layers; limit {MAX_CHARACTERS:,}. "
                "Use fewer layers.",
            )
        with self._store.transaction() as connection:
            put(connection, "network", (name, plain_text(graph)))

    def networks(self) -> tuple[NetworkRecord, ...]:
        """Return the networks, in the order of their names; their layers are not checked."""
        return self._store.records("network", NetworkRecord, "ORDER BY name")

    def remove_network(self, name: str) -> None:
        """Forget a network; models that were trained with it carry their layers themselves.

        Raises
        ------
        UserError
            CN-331 if there is no such network.
        """
        with self._store.transaction() as connection:
            gone = connection.execute("DELETE FROM network WHERE name = ?", (name,)).rowcount
        if not gone:
            raise UserError(
                "CN-331", f"Network '{name[:40]}' is not in '{short_name(self._store.path)}'."
            )
