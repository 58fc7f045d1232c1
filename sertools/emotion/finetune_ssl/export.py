"""A fine-tuned speech model and its head as a network for other programs."""

from pathlib import Path

from sertools.emotion.finetune_ssl.system import FinetuneSystem
from sertools.prediction.exportable import ExportableEnsemble
from sertools.prediction.exported_waveform import WaveformNetwork, export_waveform


class FinetuneEnsemble(ExportableEnsemble):
    """Runs which can be exported."""

    def export(self, output: Path, *, check: bool) -> tuple[str, float | None]:
        """See :class:`sertools.prediction.ensemble.Exportable`; adapters are part of it.

        Raises:
            UserError: what was written gives other outputs.
        """
        ((name, run),) = self._runs.items()
        system = self.branches[0].system
        assert isinstance(system, FinetuneSystem)
        tuned = system.network(run, self.target)
        network = WaveformNetwork(tuned.encoder, tuned.layers, tuned.head)
        return export_waveform(network, self.target, self.temperatures[0], name, output, check=check)
