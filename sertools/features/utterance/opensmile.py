"""Functionals by openSMILE: eGeMAPS (Eyben et al. 2016) and ComParE 2016 (Schuller et al. 2016).

The package opensmile is an optional extra (utils/add_extra.sh opensmile).  Its licence, audEERING's, is for
research and not for commercial use.

openSMILE never fails: where there is nothing to measure it answers with NaN or with constants, and samples
beyond full scale it wraps to the other sign.  So audio is resampled to 16 kHz, which the features depend on,
and clipped to what 16 bits hold; and what cannot have functionals is refused by name.
"""

import importlib.metadata
import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from lhotse.cut import Cut

from sertools.errors import MissingPackage, UserError
from sertools.features.audio import audio_state, load_samples
from sertools.features.kind import FeatureKind, Given
from sertools.features.maker import Archive, Maker

log = logging.getLogger(__name__)

NAME = "functionals"
SAMPLING_RATE = 16000
SHORTEST = 960  # samples: the frame of F0, 60 ms
SMALLEST, LARGEST = -1.0, 32767 / 32768
LICENCE = "audEERING's licence: research, not commercial use"

Set = Literal["eGeMAPSv02", "eGeMAPSv01a", "ComParE_2016"]
WIDTHS: dict[str, int] = {"eGeMAPSv02": 88, "eGeMAPSv01a": 88, "ComParE_2016": 6373}


@dataclass(frozen=True)
class FunctionalsConfig:
    """The block ``functionals:``.

    Attributes:
        set: eGeMAPSv02; eGeMAPSv01a, what papers before 2020 can have used, of which 25 of 88 functionals
            differ (formants, jitter, shimmer); or ComParE_2016.
    """

    set: Set = "eGeMAPSv02"


class Functionals(Maker):
    """Functionals of cuts: the array "functionals", one exact row (1, 88) or (1, 6373) an utterance.

    openSMILE's threads are not safe, so a job computes on one core; recipes start several jobs.

    Raises:
        MissingPackage: opensmile is not installed.
    """

    made_by = "the feature stage"
    storage = "float32"
    names = (NAME,)

    def __init__(self, config: FunctionalsConfig) -> None:
        self.config = config
        try:
            self.version = importlib.metadata.version("opensmile")
        except importlib.metadata.PackageNotFoundError:
            raise MissingPackage(
                "opensmile", f"the feature kind {NAME}",
                f"Add it by utils/add_extra.sh opensmile ({LICENCE}); a plain pip install would break the environment.",
            ) from None  # fmt: skip
        self._smile: Any = None

    @property
    def sampling_rate(self) -> int | None:
        """See :class:`sertools.features.maker.Maker`."""
        return SAMPLING_RATE

    @property
    def settings(self) -> dict[str, Any]:
        """See :class:`sertools.features.maker.Maker`."""
        return {NAME: {"set": self.config.set, "opensmile": self.version}}

    @property
    def record(self) -> dict[str, Any]:
        """See :class:`sertools.features.maker.Maker`."""
        return self.settings

    def check(self, cuts: Sequence[Cut], made: Any, where: str) -> None:
        """See :class:`sertools.features.maker.Maker`."""
        short = [cut.id for cut in cuts if cut.duration * SAMPLING_RATE < SHORTEST]
        if short:
            raise UserError(
                f"{where}: {_listed(short)} last less than {1000 * SHORTEST // SAMPLING_RATE} ms, in which no pitch "
                "can be measured; leave them out"
            )
        log.info("%s by openSMILE %s (%s)", self.config.set, self.version, LICENCE)

    def inputs(self, cut: Cut) -> Any:
        """Size and time of change of a cut's audio files."""
        return audio_state(cut)

    def size(self, cut: Cut) -> int:
        """See :class:`sertools.features.maker.Maker`."""
        return WIDTHS[self.config.set]

    def make(self, cuts: Sequence[Cut], archive: Archive) -> list[Cut]:
        """See :class:`sertools.features.maker.Maker`.

        Raises:
            UserError: audio that is constant, or of which openSMILE makes nothing; all such of the block.
        """
        made: list[Cut] = []
        bad: dict[str, list[str]] = {}
        clipped = []
        for cut in cuts:
            samples = load_samples(cut, SAMPLING_RATE)[0]
            beyond = int((samples > LARGEST).sum() + (samples < SMALLEST).sum())
            if beyond:
                clipped.append(f"{cut.id} ({beyond} samples)")
            samples = samples.clip(SMALLEST, LARGEST)
            if np.abs(samples - samples[0]).max() < 1 / 32768:
                bad.setdefault("have the same sample throughout, so there is nothing to measure", []).append(_file(cut))
                continue
            values = self.compute(samples)
            if not np.isfinite(values).all():
                bad.setdefault("have no functionals (openSMILE gives NaN)", []).append(_file(cut))
                continue
            made.append(archive.with_array(cut, NAME, values))
        if clipped:
            log.info("samples beyond full scale, clipped: %s", _listed(clipped))
        if bad:
            told = "; ".join(f"{_listed(names)} {what}" for what, names in bad.items())
            raise UserError(f"{told}; mend these files, or leave them out of the manifest")
        return made

    def compute(self, samples: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Functionals, float32 (1, C), of samples (S,) at 16 kHz within [-1, 32767/32768]."""
        if self._smile is None:
            import opensmile

            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that v01a is deprecated, which was chosen
                self._smile = opensmile.Smile(
                    feature_set=opensmile.FeatureSet[self.config.set],
                    feature_level=opensmile.FeatureLevel.Functionals,
                )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what it warns of shows as NaN
            table = self._smile.process_signal(samples, SAMPLING_RATE)
        return np.asarray(table.to_numpy(), dtype=np.float32)


def functional_names(config: FunctionalsConfig) -> list[str]:
    """The names of the columns, as openSMILE has them; needs opensmile."""
    maker = Functionals(config)
    maker.compute(np.zeros(SHORTEST, dtype=np.float32))
    return list(maker._smile.feature_names)


def _file(cut: Cut) -> str:
    return f"{cut.id} ({cut.recording.sources[0].source})"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more


def _maker(config: FunctionalsConfig, given: Given) -> Functionals:
    return Functionals(config)


FUNCTIONALS = FeatureKind(NAME, FunctionalsConfig, _maker)
