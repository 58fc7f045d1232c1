"""A Cnn14 as a network for other programs, from log-mel spectra on."""

from pathlib import Path

import torch
from torch import Tensor

from sertools.emotion.cnn14.batches import SILENCE
from sertools.emotion.cnn14.system import Cnn14System
from sertools.features.origin import kinds_of
from sertools.prediction.exportable import ExportableEnsemble
from sertools.prediction.traced import Export, Input, write_export
from sertools.training.checkpoint import load_checkpoint
from sertools.training.run import CHECKPOINT

MORE = (0, 1, 7, 200)
"""Frames beyond the fewest, of spectra on which an export is tried."""


class Cnn14Ensemble(ExportableEnsemble):
    """Runs of S5's systems, which can be exported."""

    def export(self, output: Path, *, check: bool) -> tuple[str, float | None]:
        """See :class:`sertools.prediction.ensemble.Exportable`.

        Raises:
            UserError: what was written gives other outputs.
        """
        ((name, run),) = self._runs.items()
        system = self.branches[0].system
        assert isinstance(system, Cnn14System)
        network = system.network(run, self.target).eval()
        shortest, bins = system.config.data.crop_frames, network.config.num_mel_bins
        examples = [(_example(shortest + more, bins),) for more in MORE]
        about = {
            "logmel": kinds_of(load_checkpoint(run / CHECKPOINT).info.get("features")).get("logmel"),
            "fewest_frames": shortest, "shorter": f"pad what is shorter with {SILENCE:g} dB at its end",
        }  # fmt: skip
        inputs = (Input("features", f"[1, frames, {bins}]", "frames"),)
        export = Export(network, inputs, examples, network, self.target, self.temperatures[0], name, about)
        return write_export(export, output, check=check)


def _example(frames: int, bins: int) -> Tensor:
    """A log-mel spectrum (1, T, F), in dB."""
    return 20 * torch.randn(1, frames, bins, generator=torch.Generator().manual_seed(frames)) - 40
