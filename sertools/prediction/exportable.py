"""Stored runs that can be written as a network for other programs."""

from collections.abc import Mapping
from pathlib import Path

from sertools.prediction.stored import StoredEnsemble


class ExportableEnsemble(StoredEnsemble):
    """Runs that know their folders; what is derived from it exports (:class:`sertools.prediction.ensemble.Exportable`).

    Args:
        loaded: see :func:`sertools.prediction.stored.load_stored`.
        runs: name to folder.
    """

    def __init__(self, loaded: StoredEnsemble, runs: Mapping[str, Path]) -> None:
        super().__init__(loaded.branches, loaded.target, loaded.needs_speakers)
        self._runs = dict(runs)
