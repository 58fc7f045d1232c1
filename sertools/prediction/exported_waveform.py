"""A head on a pretrained speech model as one network for other programs, from the waveform on."""

from pathlib import Path

import torch
from torch import Tensor, nn

from sertools.backbones.encoder import SpeechEncoder, hidden_states, statistics
from sertools.emotion.layers_head.network import LayersHead
from sertools.partitions.target import Target
from sertools.prediction.traced import Export, Input, write_export

SECONDS = (1.0, 0.5, 0.7731, 2.1)
"""Of noise on which an export is tried."""


class WaveformNetwork(nn.Module):
    """Log-posteriors (1, C), or a value (1, 1), of a waveform (1, S), full scale 1.

    Args:
        encoder: the pretrained model.
        layers: numbers of the layers that the head reads.
        head: trained.
    """

    def __init__(self, encoder: SpeechEncoder, layers: list[int], head: LayersHead) -> None:
        super().__init__()
        self.encoder, self.layers, self.head = encoder, layers, head

    def forward(self, waveform: Tensor) -> Tensor:
        """See above."""
        states = self.encoder.alone(waveform, self.layers)
        if self.head.stored == "statistics":
            states = [statistics(one)[:, None] for one in states]
        return self._of(torch.cat(states, 2))

    def expected(self, waveform: Tensor) -> Tensor:
        """The same by the way that features are made."""
        reduce = (lambda one: statistics(one)[:, None]) if self.head.stored == "statistics" else None
        (states,) = hidden_states(self.encoder, [waveform[0]], self.layers, reduce=reduce)
        return self._of(states.transpose(0, 1).flatten(1)[None])

    def _of(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.head(x, torch._shape_as_tensor(x)[1:2])[0][:, 0]
        return outputs


def export_waveform(
    network: WaveformNetwork, target: Target, temperature: float | None, member: str, output: Path, *, check: bool
) -> tuple[str, float | None]:
    """Write it; see :func:`sertools.prediction.traced.write_export`."""
    network = network.cpu().eval()
    encoder, backbone = network.encoder, network.encoder.backbone
    assert backbone.sampling_rate is not None
    rate = backbone.sampling_rate
    most = encoder.most_samples or round(max(SECONDS) * rate)
    sizes = [min(max(round(seconds * rate), encoder.least_samples), most) for seconds in SECONDS]
    noise = [(0.05 * torch.randn(1, size, generator=torch.Generator().manual_seed(size)),) for size in sizes]
    about = {
        "sampling_rate": rate, "full_scale": 1.0, "fewest_samples": encoder.least_samples,
        "most_samples": encoder.most_samples, "pretrained_model": backbone.describe(), "licence": backbone.licence,
    }  # fmt: skip
    inputs = (Input("waveform", "[1, samples]", "samples"),)
    export = Export(network, inputs, noise, network.expected, target, temperature, member, about)
    return write_export(export, output, check=check)
