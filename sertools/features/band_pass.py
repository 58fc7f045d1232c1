"""A band-pass filter that lhotse applies when it loads audio, as for a change of speed or volume.

For copies of a corpus that keep a narrow band of the acoustics (S5, section on task and acoustic
similarity: Butterworth, around 500 Hz).  It is applied to floats on the way to features and never stored as
16 bits, whose rounding noise would be louder than what the filter leaves outside the band.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from lhotse import CutSet
from lhotse.array import TemporalArray
from lhotse.augmentation.transform import AudioTransform

from sertools.errors import UserError


@dataclass(frozen=True)
class BandPassConfig:
    """The filter.

    Attributes:
        centre, bandwidth: in Hz; the edges, where the gain is -3 dB, lie half a bandwidth to each side.
        order: of each edge, as scipy's butter(order, ..., "bandpass"); the filter has twice as many poles.
            Papers' "4th order" may mean 4 here, or 2.
        level: kept: as the filter leaves it; restored: each cut is scaled to the root mean square it had.
    """

    centre: float = 500.0
    bandwidth: float = 200.0
    order: int = 4
    level: Literal["kept", "restored"] = "kept"

    def __post_init__(self) -> None:
        if not 0 < self.bandwidth < 2 * self.centre < 1e6:
            raise ValueError(f"a band of {self.bandwidth} Hz around {self.centre} Hz does not begin above 0 Hz")
        if not 1 <= self.order <= 16:
            raise ValueError(f"order must be in 1 .. 16, not {self.order}")
        if self.level not in ("kept", "restored"):
            raise ValueError(f"level must be kept or restored, not {self.level}")


@dataclass
class SertoolsBandPass(AudioTransform):  # type: ignore[misc]
    """Lhotse's side of it: a transform that manifests name, with the settings of :class:`BandPassConfig`."""

    centre: float
    bandwidth: float
    order: int
    level: str

    def __post_init__(self) -> None:
        BandPassConfig(self.centre, self.bandwidth, self.order, self.level)  # type: ignore[arg-type]

    def __call__(self, samples: np.ndarray[Any, Any], sampling_rate: int) -> np.ndarray[Any, Any]:
        """Filter (C, S), computed in float64.

        Raises:
            ValueError: the band ends above half the sampling rate.
        """
        from scipy.signal import sosfilt  # takes a moment

        filtered = sosfilt(_sections(self.centre, self.bandwidth, self.order, sampling_rate), samples, axis=-1)
        if self.level == "restored":
            before, after = (np.sqrt((x.astype(np.float64) ** 2).mean(-1, keepdims=True)) for x in (samples, filtered))
            filtered = filtered * np.where(after > 0, before / np.maximum(after, 1e-30), 1.0)
        return np.asarray(filtered, dtype=samples.dtype)

    def reverse_timestamps(
        self, offset: float, duration: float | None, sampling_rate: int
    ) -> tuple[float, float | None]:
        """As they are: nothing is delayed but by the filter itself."""
        return offset, duration


@lru_cache(maxsize=64)
def _sections(centre: float, bandwidth: float, order: int, sampling_rate: int) -> np.ndarray[Any, Any]:
    """Second-order sections, since the polynomials of a narrow filter are inexact."""
    from scipy.signal import butter

    edges = [centre - bandwidth / 2, centre + bandwidth / 2]
    if edges[1] >= sampling_rate / 2:
        raise ValueError(f"a band up to {edges[1]:g} Hz does not fit audio of {sampling_rate} Hz")
    return np.asarray(butter(order, edges, "bandpass", fs=sampling_rate, output="sos"))


def band_pass(cuts: CutSet, config: BandPassConfig) -> CutSet:
    """The same cuts, under the same names, whose audio is filtered when it is loaded.

    Raises:
        UserError: a cut has features already, which are of the audio as it was; or its rate is too low.
    """
    transform = SertoolsBandPass(**vars(config))

    def filtered(cut: Any) -> Any:
        arrays = [name for name, value in (cut.custom or {}).items() if isinstance(value, TemporalArray)]
        if cut.has_features or arrays:
            raise UserError(
                f"{cut.id} has features of its whole band already ({', '.join(arrays) or 'features'}); "
                "compute those of a band (perturb: band_pass:) from the manifest that has none"
            )
        recording = cut.recording
        try:
            _sections(config.centre, config.bandwidth, config.order, recording.sampling_rate)
        except ValueError as error:
            raise UserError(f"{cut.id}: {error} (perturb: band_pass:)") from error
        changed = type(recording).from_dict(recording.to_dict())
        changed.transforms = [*(changed.transforms or []), transform]
        result = type(cut).from_dict(cut.to_dict())
        result.recording = changed
        return result

    return CutSet.from_cuts(filtered(cut) for cut in cuts)
