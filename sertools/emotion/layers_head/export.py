"""A head on hidden layers, with the pretrained model before it, as a network for other programs."""

from pathlib import Path

from sertools.emotion.layers_head.system import LayersSystem
from sertools.errors import UserError
from sertools.features.learned.ssl import HiddenStates
from sertools.prediction.exportable import ExportableEnsemble
from sertools.prediction.exported_waveform import WaveformNetwork, export_waveform


class LayersEnsemble(ExportableEnsemble):
    """Runs which can be exported."""

    def export(self, output: Path, *, check: bool) -> tuple[str, float | None]:
        """See :class:`sertools.prediction.ensemble.Exportable`.

        Raises:
            UserError: features are normalised over speakers, or of more than one kind; what was written gives
                other outputs.
        """
        ((name, run),) = self._runs.items()
        branch = self.branches[0]
        system, makers = branch.system, branch.chain.makers
        assert isinstance(system, LayersSystem)
        if self.needs_speakers:
            raise UserError(
                f"{name} normalises what it reads over a speaker's utterances (data.normalise: speaker), which a "
                "network that hears one utterance cannot; export an experiment with normalise: none"
            )
        if len(makers) != 1 or not isinstance(makers[0], HiddenStates):
            raise UserError(
                f"{name} reads more than hidden layers of a pretrained speech model; only these are exported"
            )
        (maker,) = makers
        assert isinstance(maker, HiddenStates)
        wanted = system.config.model.layers
        layers = maker.layers if wanted == "all" else [maker.layers[number] for number in wanted]
        network = WaveformNetwork(maker.encoder, layers, system.network(run, self.target))
        return export_waveform(network, self.target, self.temperatures[0], name, output, check=check)
