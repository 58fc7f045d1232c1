"""Log-mel filter banks as Kaldi computes them, behind lhotse's extractor interface.

By kaldifeat, or by lhotse's own torch layers with the same numbers; on the 16-bit scale, see
sertools.features.frames.mfcc.
"""

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from lhotse.features.base import register_extractor

from sertools.features.frames.acoustic import AcousticFeatures
from sertools.features.frames.mfcc import (
    Compute,
    Engine,
    KaldiFeatures,
    check_band,
    lhotse_layer,
    set_common,
)
from sertools.features.kind import FeatureKind, Given


@dataclass
class FbankConfig:
    """Options of Kaldi's ``compute-fbank-feats``, named as there; the defaults are S4's 40 filters.

    Attributes:
        sampling_rate: in Hz.
        frame_length, frame_shift: in seconds.
        num_mel_bins: number of mel filters, which is that of the features.
        low_freq, high_freq: edges of the filter bank in Hz; ``high_freq`` <= 0 counts from Nyquist.
        preemphasis_coefficient: of the pre-emphasis filter.
        dither: standard deviation of the noise added to 16-bit samples.  Kaldi's default is 1;
            0 gives the same features every time.
        snip_edges: Kaldi's default is true; lhotse's manifests need false (see MfccConfig).
        engine: what computes; ``auto`` is kaldifeat where installed, else lhotse.
        device: a torch device.
    """

    sampling_rate: int = 16000
    frame_length: float = 0.025
    frame_shift: float = 0.01
    num_mel_bins: int = 40
    low_freq: float = 20.0
    high_freq: float = -400.0
    preemphasis_coefficient: float = 0.97
    dither: float = 0.0
    snip_edges: bool = False
    engine: Engine = "auto"
    device: str = "cpu"

    def __post_init__(self) -> None:
        check_band(self)
        if self.num_mel_bins < 1:
            raise ValueError(f"num_mel_bins must be at least 1, not {self.num_mel_bins}")

    def to_dict(self) -> dict[str, Any]:
        """As lhotse stores it beside features."""
        return asdict(self)

    @staticmethod
    def from_dict(data: dict[str, Any]) -> "FbankConfig":
        """The inverse of :meth:`to_dict`."""
        return FbankConfig(**data)


def _kaldifeat(config: FbankConfig) -> Compute:
    import kaldifeat

    options = kaldifeat.FbankOptions()
    set_common(options, config)
    options.use_energy = False
    fbank: Compute = kaldifeat.Fbank(options)
    return fbank


def _lhotse(config: FbankConfig) -> Compute:
    from lhotse.features.kaldi.layers import Wav2LogFilterBank

    return lhotse_layer(Wav2LogFilterBank, config)


@register_extractor
class Fbank(KaldiFeatures):
    """lhotse extractor; ``extract`` gives float32 (T, num_mel_bins), natural logarithms of filter energies."""

    name = "sertools-fbank"
    config_type = FbankConfig
    _engines: ClassVar = {"kaldifeat": _kaldifeat, "lhotse": _lhotse}

    def feature_dim(self, sampling_rate: int) -> int:
        return int(self.config.num_mel_bins)


def _maker(config: FbankConfig, given: Given) -> AcousticFeatures:
    return AcousticFeatures(Fbank(config), "fbank")


FBANK = FeatureKind("fbank", FbankConfig, _maker)
