"""A network of speech and words for other programs, from stored frames and words on."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from sertools.emotion.speech_text.network import Sequences, SpeechTextNetwork
from sertools.emotion.speech_text.system import SpeechTextSystem
from sertools.features.origin import kinds_of
from sertools.prediction.exportable import ExportableEnsemble
from sertools.prediction.traced import Export, Input, write_export
from sertools.training.checkpoint import load_checkpoint
from sertools.training.run import CHECKPOINT

SIZES = ((50, 6), (1, 1), (7, 3), (201, 31))
"""Frames and words on which an export is tried."""


class OfOne(nn.Module):
    """Log-posteriors (1, C), or a value (1, 1), of one utterance: speech (1, T, F), words (1, W, D), times (1, W, 2),
    those of them that the network reads.

    Args:
        network: trained.
    """

    def __init__(self, network: SpeechTextNetwork, number: bool) -> None:
        super().__init__()
        self.network, self.number = network, number
        self.parts = [name for name in ("speech", "words") if getattr(network, name) is not None]

    def forward(self, *inputs: Tensor) -> Tensor:
        """See above."""
        given = dict(zip(self.parts, inputs[: len(self.parts)], strict=True))
        rows = {name: Sequences(x, torch._shape_as_tensor(x)[1:2]) for name, x in given.items()}
        times = inputs[len(self.parts)] if len(inputs) > len(self.parts) else None
        outputs: Tensor = self.network(rows.get("speech"), rows.get("words"), times)
        return outputs if self.number else torch.log_softmax(outputs, 1)

    def expected(self, *inputs: Tensor) -> Tensor:
        """The same, in a batch with a longer utterance."""
        both = [
            torch.cat([nn.functional.pad(x, (0, 0, 0, 2)), torch.ones(1, x.shape[1] + 2, x.shape[2])]) for x in inputs
        ]
        lengths = [torch.tensor([x.shape[1], x.shape[1] + 2]) for x in inputs]
        rows = {
            name: Sequences(x, n)
            for name, x, n in zip(self.parts, both[: len(self.parts)], lengths[: len(self.parts)], strict=True)
        }
        times = both[len(self.parts)] if len(both) > len(self.parts) else None
        outputs: Tensor = self.network(rows.get("speech"), rows.get("words"), times)[:1]
        return outputs if self.number else torch.log_softmax(outputs, 1)


class SpeechTextEnsemble(ExportableEnsemble):
    """Runs which can be exported."""

    def export(self, output: Path, *, check: bool) -> tuple[str, float | None]:
        """See :class:`sertools.prediction.ensemble.Exportable`.

        Raises:
            UserError: what was written gives other outputs.
        """
        ((name, run),) = self._runs.items()
        system = self.branches[0].system
        assert isinstance(system, SpeechTextSystem)
        network = OfOne(system.network(run, self.target).eval(), self.target.kind == "number").eval()
        info = load_checkpoint(run / CHECKPOINT).info
        widths = {part: int(info[f"{part}_dim"]) for part in network.parts}
        inputs = [
            Input(part, f"[1, {rows}, {widths[part]}]", rows)
            for part, rows in (("speech", "frames"), ("words", "words"))
            if part in widths
        ]
        if system.config.times:
            inputs.append(Input("times", "[1, words, 2]", "words"))
        examples = [_example(inputs, widths, *size) for size in SIZES]
        about = {
            "features": kinds_of(info.get("features")), "layers": list(system.config.model.layers),
            "word_features": system.config.words, "times": "begin and end of words, as parts of the utterance",
        }  # fmt: skip
        export = Export(
            network, tuple(inputs), examples, network.expected, self.target, self.temperatures[0], name, about
        )
        return write_export(export, output, check=check)


def _example(inputs: list[Input], widths: Mapping[str, int], frames: int, words: int) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(frames)
    made = []
    for one in inputs:
        if one.name == "times":
            edges = torch.arange(words + 1)[None, :, None] / words
            made.append(torch.cat([edges[:, :-1], edges[:, 1:]], 2))
        else:
            rows = frames if one.name == "speech" else words
            made.append(torch.randn(1, rows, widths[one.name], generator=generator))
    return tuple(made)
