"""PANNs' checkpoint of Cnn14 on AudioSet (``Cnn14_16k_mAP=0.438.pth``): its network, checked name by name."""

import re
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from sertools.errors import UserError
from sertools.features.frames.logmel import LogmelConfig, mel_filters
from sertools.foreign.archive import load_tensors, open_foreign
from sertools.foreign.convert import take_apart
from sertools.foreign.machine import Mapping
from sertools.models.cnn14 import Cnn14, Cnn14Config

REAL, IMAGINARY = (f"spectrogram_extractor.stft.conv_{part}.weight" for part in ("real", "imag"))
FILTERS = "logmel_extractor.melW"
FRONT_END = (REAL, IMAGINARY, FILTERS)
HEAD = "fc_audioset."
RATES = {512: 16000, 1024: 32000, 256: 8000}
"""Sampling rate by the samples of a window: that, and nothing else, tells the variants apart."""


@dataclass(frozen=True)
class Panns:
    """What a checkpoint has.

    Attributes:
        config: the layout, as the shapes say.
        tensors: parameters and statistics by :class:`~sertools.models.cnn14.Cnn14`'s names.
        left_out: names in the file that are not in ``tensors``.
    """

    config: Cnn14Config
    tensors: dict[str, Tensor]
    left_out: tuple[str, ...]

    @property
    def remark(self) -> str:
        """A sentence that says what was left out."""
        return f"left out: {', '.join(self.left_out)}"

    def load_into(self, network: Cnn14) -> list[str]:
        """Copy everything into a network of the same layout; returns the names that keep their own start.

        Raises:
            UserError: the layouts differ.
        """
        own = network.state_dict()
        wrong = [n for n, t in self.tensors.items() if n not in own or own[n].shape != t.shape]
        missing = [n for n in own if n not in self.tensors and not n.startswith("head.")]
        if wrong or missing:
            name = (wrong or missing)[0]
            raise UserError(
                f"the checkpoint does not fit the network at {name}: it has width {self.config.width}, "
                f"{self.config.blocks} blocks and {self.config.num_mel_bins} bands"
            )
        network.load_state_dict({**own, **self.tensors})
        return [name for name in own if name not in self.tensors]


def load_panns(path: Path, keep_head: bool = False) -> Panns:
    """Read Cnn14 of 16 kHz; nothing in the file is run, and only the part ``model`` is looked at.

    Args:
        path: the checkpoint, of either format of ``torch.save``.
        keep_head: keep AudioSet's output layer as the head, to try the network as it was trained.

    Raises:
        UserError: it is another file or another variant, a name is missing or unknown, or a number is not finite.
    """
    opened = open_foreign(path)
    content = opened.content
    if not isinstance(content, Mapping):
        raise UserError(f"{path} is no checkpoint of PANNs: no dictionary")
    model = content.get("model", content)
    parts = take_apart(model, str(path))
    views = parts.views
    if parts.refused or "conv_block1.conv1.weight" not in views or "fc1.weight" not in views:
        raise UserError(f"{path} is no checkpoint of Cnn14: its model has no conv_block1.conv1.weight and fc1.weight")
    _check_variant(path, views[REAL].size if REAL in views else None)
    tensors = load_tensors(opened, views)
    config = _layout(path, tensors)
    num_outputs = len(tensors[HEAD + "bias"]) if HEAD + "bias" in tensors else 1
    with torch.random.fork_rng(devices=[]):
        expected = {
            name.replace("head.", HEAD): value.shape for name, value in Cnn14(config, num_outputs).state_dict().items()
        }
    missing = [name for name in (*expected, *FRONT_END) if name not in tensors]
    unknown = [name for name in tensors if name not in expected and name not in FRONT_END]
    if missing or unknown:
        what = f"lacks {missing[0]}" if missing else f"has {unknown[0]}, which Cnn14 has not"
        raise UserError(f"{path} {what}: it is another network, or was changed")
    for name, tensor in tensors.items():
        if name in expected and tensor.shape != expected[name]:
            raise UserError(f"{path}: {name} is {tuple(tensor.shape)}, not {tuple(expected[name])}")
        if not bool(torch.isfinite(tensor).all()):
            raise UserError(f"{path}: {name} has numbers that are not finite")
    filters = mel_filters(LogmelConfig(num_mel_bins=config.num_mel_bins))
    if tensors[FILTERS].shape != filters.shape or not torch.allclose(tensors[FILTERS], filters, atol=1e-6):
        raise UserError(f"{path}: its mel filters are not those of 50 to 8000 Hz that Cnn14_16k has")
    left_out = [*FRONT_END, *(() if keep_head else [name for name in tensors if name.startswith(HEAD)])]
    kept = {name.replace(HEAD, "head."): value for name, value in tensors.items() if name not in left_out}
    return Panns(config, kept, tuple(left_out))


def _check_variant(path: Path, size: tuple[int, ...] | None) -> None:
    if size is None:
        raise UserError(
            f"{path} has no front end ({REAL}), so nothing in it says whether it is for 16 or 32 kHz; "
            "take the file as PANNs published it"
        )
    rate = RATES.get(size[-1])
    if rate != 16000:
        raise UserError(
            f"{path} is for {rate} Hz (windows of {size[-1]} samples), not 16000: take Cnn14_16k"
            if rate
            else f"{path} has windows of {size[-1]} samples; PANNs' networks have 256, 512 or 1024"
        )


def _layout(path: Path, tensors: dict[str, Tensor]) -> Cnn14Config:
    numbers = {int(m[1]) for name in tensors if (m := re.match(r"conv_block(\d{1,2})\.", name))}
    bands = tensors.get("bn0.weight")
    try:
        config = Cnn14Config(
            num_mel_bins=0 if bands is None else bands.numel(),
            width=len(tensors["conv_block1.conv1.weight"]),
            blocks=max(numbers),
        )
    except ValueError as error:
        raise UserError(f"{path}: {error}") from error
    widest = tensors.get(f"conv_block{config.blocks}.conv2.weight")
    channels = config.embedding_dim
    if widest is None or widest.shape != (channels, channels, 3, 3):  # before a network of that size is made
        raise UserError(f"{path}: its last block has not the {channels} channels that the first one asks for")
    return config
