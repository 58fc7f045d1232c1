"""Log-mel spectrograms as PANNs' networks take them (Kong et al. 2020, section III-A; their Cnn14_16k).

Not Kaldi's filter banks: 512-point periodic Hann windows every 160 samples, centred with reflection at the
ends, power, Slaney's mel scale with filters of equal area, decibels.  An utterance of n samples has
1 + n // 160 frames, one more than lhotse's manifests count; so they hang on a cut as the array "logmel",
kept exactly.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from lhotse.cut import Cut
from torch import Tensor

from sertools.config import to_dict
from sertools.errors import UserError
from sertools.features.audio import audio_state, load_samples
from sertools.features.kind import FeatureKind, Given
from sertools.features.maker import Archive, Maker

NAME = "logmel"


@dataclass(frozen=True)
class LogmelConfig:
    """The block ``logmel:``; the defaults are those of Cnn14_16k.

    Attributes:
        sampling_rate: in Hz; audio of another is resampled.
        window, shift: in samples; the window is that of the Fourier transform, too.
        num_mel_bins: number of filters, which is that of the features.
        low_freq, high_freq: edges of the filter bank in Hz.
        floor: of the power under the logarithm.
    """

    sampling_rate: int = 16000
    window: int = 512
    shift: int = 160
    num_mel_bins: int = 64
    low_freq: float = 50.0
    high_freq: float = 8000.0
    floor: float = 1e-10

    def __post_init__(self) -> None:
        if not 0 <= self.low_freq < self.high_freq <= self.sampling_rate / 2:
            raise ValueError(
                f"low_freq {self.low_freq} and high_freq {self.high_freq} do not fit "
                f"a sampling rate of {self.sampling_rate} Hz"
            )
        if self.num_mel_bins < 1 or self.window < 2 or not 1 <= self.shift <= self.window or self.floor <= 0:
            raise ValueError("num_mel_bins, shift and floor must be positive, and the window no shorter than the shift")
        empty = int((mel_filters(self).sum(0) == 0).sum())
        if empty:
            raise ValueError(f"{empty} of {self.num_mel_bins} filters are empty; take fewer, or a longer window")


def mel_filters(config: LogmelConfig) -> Tensor:
    """Triangular filters of area one on Slaney's mel scale, float32 (window // 2 + 1, num_mel_bins).

    The scale is linear below 1000 Hz (15 mel) and logarithmic above, by 27 mel a factor of 6.4 (Slaney 1998,
    Auditory Toolbox).
    """
    low, high = (_to_mel(frequency) for frequency in (config.low_freq, config.high_freq))
    edges = _to_hertz(np.linspace(low, high, config.num_mel_bins + 2))
    frequencies = np.arange(config.window // 2 + 1) * config.sampling_rate / config.window
    rising = (frequencies[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - frequencies[:, None]) / (edges[2:] - edges[1:-1])
    filters = np.maximum(0, np.minimum(rising, falling)) * 2 / (edges[2:] - edges[:-2])
    return torch.from_numpy(filters.astype(np.float32))


def _to_mel(frequency: float) -> float:
    return 3 * frequency / 200 if frequency < 1000 else 15 + 27 * float(np.log(frequency / 1000) / np.log(6.4))


def _to_hertz(mel: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.asarray(np.where(mel < 15, 200 * mel / 3, 1000 * 6.4 ** ((mel - 15) / 27)))


class Logmel:
    """Samples to log-mel frames, for features and for networks that take audio."""

    def __init__(self, config: LogmelConfig, device: str = "cpu") -> None:
        self.config = config
        self._window = torch.hann_window(config.window, periodic=True, device=device)
        self._filters = mel_filters(config).to(device)

    @torch.no_grad()
    def __call__(self, samples: Tensor) -> Tensor:
        """Log-mel spectrum in dB (reference 1), float32 (..., 1 + S // shift, num_mel_bins).

        Args:
            samples: float32 (..., S) in [-1, 1]; each row has what it has alone, to rounding.

        Raises:
            ValueError: S is at most window // 2, too short to be reflected at its ends.
        """
        config = self.config
        if samples.shape[-1] <= config.window // 2:
            raise ValueError(f"{samples.shape[-1]} samples, and at least {config.window // 2 + 1} are needed")
        rows = samples.reshape(-1, samples.shape[-1])
        spectrum = torch.stft(rows, config.window, config.shift, window=self._window, center=True,
                              pad_mode="reflect", return_complex=True)  # fmt: skip
        parts = torch.view_as_real(spectrum)
        power = parts[..., 0].square() + parts[..., 1].square()  # a sum over the last dimension takes six times as long
        mel = power.transpose(1, 2) @ self._filters
        decibels = 10 * torch.log10(mel.clamp(min=config.floor))
        return decibels.reshape(*samples.shape[:-1], *decibels.shape[1:])


class LogmelFeatures(Maker):
    """Log-mel spectra of cuts, as the array "logmel"."""

    made_by = "the feature stage"
    storage = "float32"
    names = (NAME,)

    def __init__(self, config: LogmelConfig) -> None:
        self.config = config
        self.compute = Logmel(config)

    @property
    def sampling_rate(self) -> int | None:
        """See :class:`sertools.features.maker.Maker`."""
        return self.config.sampling_rate

    @property
    def settings(self) -> dict[str, Any]:
        """See :class:`sertools.features.maker.Maker`."""
        return {NAME: to_dict(self.config)}

    @property
    def record(self) -> dict[str, Any]:
        """See :class:`sertools.features.maker.Maker`."""
        return self.settings

    def inputs(self, cut: Cut) -> Any:
        """Size and time of change of a cut's audio files."""
        return audio_state(cut)

    def size(self, cut: Cut) -> int:
        """See :class:`sertools.features.maker.Maker`."""
        return (1 + int(cut.duration * self.config.sampling_rate) // self.config.shift) * self.config.num_mel_bins

    def make(self, cuts: Sequence[Cut], archive: Archive) -> list[Cut]:
        """See :class:`sertools.features.maker.Maker`; every utterance alone."""
        made = []
        for cut in cuts:
            samples = torch.from_numpy(load_samples(cut, self.config.sampling_rate)[0])
            try:
                values = self.compute(samples)
            except ValueError as error:
                raise UserError(f"{cut.id} is too short for log-mel spectra: {error}") from error
            made.append(archive.with_array(cut, NAME, values.numpy(), self.config.shift / self.config.sampling_rate))
        return made


def _maker(config: LogmelConfig, given: Given) -> LogmelFeatures:
    return LogmelFeatures(config)


LOGMEL = FeatureKind(NAME, LogmelConfig, _maker, rows="centre")
