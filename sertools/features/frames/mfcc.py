"""MFCC as Kaldi computes them, behind lhotse's extractor interface.

kaldifeat does the work; where it is not installed, lhotse's own torch layers do, with the same
numbers (both are within 4e-3 of Kaldi's on RAVDESS).  Samples are fed on the 16-bit scale, as
Kaldi does: the floor under the logarithm is absolute, so samples scaled to one give other values
wherever there is digital silence.
"""

import importlib.util
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from lhotse.features.base import FeatureExtractor, register_extractor

from sertools.errors import MissingPackage, UserError
from sertools.features.frames.acoustic import AcousticFeatures
from sertools.features.kind import FeatureKind, Given

Engine = Literal["auto", "kaldifeat", "lhotse"]
Compute = Callable[[torch.Tensor], torch.Tensor]
"""Samples (S,) on the 16-bit scale to features (T, C)."""
SAMPLE_SCALE = 32768.0


@dataclass
class MfccConfig:
    """Options of Kaldi's ``compute-mfcc-feats``, named as there; the defaults are S1's (mfcc_hires).

    Attributes:
        sampling_rate: in Hz.
        frame_length, frame_shift: in seconds.
        num_mel_bins, num_ceps: number of mel filters and of cepstra.
        low_freq, high_freq: edges of the filter bank in Hz; ``high_freq`` <= 0 counts from Nyquist.
        cepstral_lifter: 0 for none.
        preemphasis_coefficient: of the pre-emphasis filter.
        dither: standard deviation of the noise added to 16-bit samples.  Kaldi's default is 1;
            0 gives the same features every time.
        use_energy: replace C0 by the log energy of the frame.
        snip_edges: Kaldi's default is true (only frames that lie wholly inside the signal).
            lhotse's manifests need false: number of frames = duration / frame_shift, rounded.
        engine: what computes; ``auto`` is kaldifeat where installed, else lhotse.
        device: a torch device.
    """

    sampling_rate: int = 16000
    frame_length: float = 0.025
    frame_shift: float = 0.01
    num_mel_bins: int = 40
    num_ceps: int = 40
    low_freq: float = 20.0
    high_freq: float = -400.0
    cepstral_lifter: float = 22.0
    preemphasis_coefficient: float = 0.97
    dither: float = 0.0
    use_energy: bool = False
    snip_edges: bool = False
    engine: Engine = "auto"
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.num_ceps > self.num_mel_bins:
            raise ValueError(f"num_ceps ({self.num_ceps}) is larger than num_mel_bins ({self.num_mel_bins})")
        check_band(self)

    def to_dict(self) -> dict[str, Any]:
        """As lhotse stores it beside features."""
        return asdict(self)

    @staticmethod
    def from_dict(data: dict[str, Any]) -> "MfccConfig":
        """The inverse of :meth:`to_dict`."""
        return MfccConfig(**data)


def resolve_engine(engine: Engine) -> Literal["kaldifeat", "lhotse"]:
    """Which engine runs.

    Raises:
        MissingPackage: ``engine`` is kaldifeat, and kaldifeat is not installed.
    """
    installed = importlib.util.find_spec("kaldifeat") is not None
    if engine == "auto":
        return "kaldifeat" if installed else "lhotse"
    if engine == "kaldifeat" and not installed:
        raise MissingPackage(
            "kaldifeat", "engine: kaldifeat", "Build it with utils/build_kaldifeat.sh, or set engine: lhotse."
        )
    return engine


class KaldiFeatures(FeatureExtractor):  # type: ignore[misc]
    """What lhotse's extractors of Kaldi's features share; ``extract`` takes samples in [-1, 1].

    Attributes:
        engine: what computes.
    """

    engine: Literal["kaldifeat", "lhotse"]
    _engines: ClassVar[Mapping[str, Callable[[Any], Compute]]]  # of a configuration

    def __init__(self, config: Any = None) -> None:
        super().__init__(config)
        self.engine = resolve_engine(self.config.engine)
        self._compute = self._engines[self.engine](self.config)

    @property
    def frame_shift(self) -> float:
        return float(self.config.frame_shift)

    @property
    def device(self) -> str:
        return str(self.config.device)

    def extract(self, samples: Any, sampling_rate: int) -> Any:
        """Features of one utterance.

        Args:
            samples: float (S,) or (1, S), in [-1, 1].
            sampling_rate: in Hz.

        Returns:
            float32 (T, C), of the kind (numpy or torch) of ``samples``.

        Raises:
            ValueError: the sampling rate or number of channels is not what was configured.
        """
        if sampling_rate != self.config.sampling_rate:
            raise ValueError(f"audio has {sampling_rate} Hz, the configuration says {self.config.sampling_rate} Hz")
        wave = torch.as_tensor(samples, dtype=torch.float32, device=self.config.device)
        if wave.dim() == 2 and wave.shape[0] != 1:
            raise ValueError(f"audio has {wave.shape[0]} channels; pick one in the manifest")
        features = self._compute(wave.reshape(-1) * SAMPLE_SCALE)
        return features.cpu().numpy() if isinstance(samples, np.ndarray) else features


def set_common(options: Any, config: Any) -> None:
    """Set what kaldifeat's options of MFCC and of filter banks have in common."""
    frames, mel = options.frame_opts, options.mel_opts
    frames.samp_freq = config.sampling_rate
    frames.frame_length_ms = config.frame_length * 1000
    frames.frame_shift_ms = config.frame_shift * 1000
    frames.dither = config.dither
    frames.preemph_coeff = config.preemphasis_coefficient
    frames.snip_edges = config.snip_edges
    mel.num_bins, mel.low_freq, mel.high_freq = config.num_mel_bins, config.low_freq, config.high_freq
    options.device = torch.device(config.device)


def lhotse_layer(layer_type: Any, config: Any, **own: Any) -> Compute:
    """One of lhotse's layers for one utterance, without gradients.

    Args:
        layer_type: of features.
        config: the options that MFCC and filter banks have in common.
        own: further options of the layer.
    """
    with warnings.catch_warnings():
        # lhotse warns of snip_edges, which the store refuses and a direct caller has chosen
        warnings.simplefilter("ignore")
        layer = layer_type(
            sampling_rate=config.sampling_rate,
            frame_length=config.frame_length,
            frame_shift=config.frame_shift,
            preemph_coeff=config.preemphasis_coefficient,
            dither=config.dither,
            snip_edges=config.snip_edges,
            num_filters=config.num_mel_bins,
            low_freq=config.low_freq,
            high_freq=config.high_freq,
            **own,
        )
    if "cepstral_lifter" in own:
        # 0 (no lifter) is known to lhotse's forward function, but not to its constructor
        layer.cepstral_lifter = config.cepstral_lifter
    layer = layer.to(config.device).eval()

    def compute(wave: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            features: torch.Tensor = layer(wave[None])[0]
        return features

    return compute


def check_band(config: Any) -> None:
    """Raise ValueError unless the filters' edges are within the band of the sampling rate."""
    top = config.high_freq if config.high_freq > 0 else config.sampling_rate / 2 + config.high_freq
    if not 0 <= config.low_freq < top <= config.sampling_rate / 2:
        raise ValueError(
            f"low_freq {config.low_freq} and high_freq {config.high_freq} do not fit "
            f"a sampling rate of {config.sampling_rate} Hz"
        )


def _kaldifeat(config: MfccConfig) -> Compute:
    import kaldifeat

    options = kaldifeat.MfccOptions()
    set_common(options, config)
    options.num_ceps = config.num_ceps
    options.use_energy = config.use_energy
    options.cepstral_lifter = config.cepstral_lifter
    mfcc: Compute = kaldifeat.Mfcc(options)
    return mfcc


def _lhotse(config: MfccConfig) -> Compute:
    from lhotse.features.kaldi.layers import Wav2MFCC

    if config.use_energy:
        raise UserError("use_energy: true needs kaldifeat (lhotse's MFCC layer fails with it)")
    return lhotse_layer(
        Wav2MFCC, config, use_energy=config.use_energy, num_ceps=config.num_ceps,
        cepstral_lifter=config.cepstral_lifter or 22.0,
    )  # fmt: skip


@register_extractor
class Mfcc(KaldiFeatures):
    """lhotse extractor; ``extract`` gives float32 (T, num_ceps)."""

    name = "sertools-mfcc"
    config_type = MfccConfig
    _engines: ClassVar = {"kaldifeat": _kaldifeat, "lhotse": _lhotse}

    def feature_dim(self, sampling_rate: int) -> int:
        return int(self.config.num_ceps)


def _maker(config: MfccConfig, given: Given) -> AcousticFeatures:
    return AcousticFeatures(Mfcc(config), "mfcc")


MFCC = FeatureKind("mfcc", MfccConfig, _maker)
