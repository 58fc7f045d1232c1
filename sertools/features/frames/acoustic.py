"""Acoustic features of cuts, by any lhotse extractor, for the store."""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
from lhotse.cut import Cut
from lhotse.features.base import FeatureExtractor, Features
from lhotse.utils import compute_num_frames

from sertools.config import to_dict
from sertools.errors import UserError
from sertools.features.audio import audio_state, load_samples
from sertools.features.maker import Archive, Maker

log = logging.getLogger(__name__)


class AcousticFeatures(Maker):
    """The features of each cut's audio that lhotse itself knows of.

    Args:
        extractor: computes them.
        block: what the extractor's settings are called in a stamp.

    Raises:
        UserError: the extractor gives another number of frames than lhotse's manifests need.
    """

    made_by = "the feature stage"

    def __init__(self, extractor: FeatureExtractor, block: str = "features") -> None:
        if getattr(extractor.config, "snip_edges", False):
            raise UserError(
                "snip_edges: true does not go with lhotse manifests, where the number of frames is "
                "duration / frame_shift; set snip_edges: false in the feature configuration"
            )
        self.extractor = extractor
        self.block = block

    @property
    def sampling_rate(self) -> int | None:
        """See :class:`sertools.features.maker.Maker`."""
        return int(self.extractor.config.sampling_rate)

    @property
    def settings(self) -> dict[str, Any]:
        """See :class:`sertools.features.maker.Maker`."""
        config = self.extractor.config.to_dict()
        return {
            "extractor": self.extractor.name,
            # a file in one store by two engines would be neither's
            "engine": getattr(self.extractor, "engine", None),
            "config": {k: v for k, v in config.items() if k not in ("device", "engine")},
        }

    @property
    def record(self) -> dict[str, Any]:
        """See :class:`sertools.features.maker.Maker`."""
        return {self.block: to_dict(self.extractor.config), "engine": getattr(self.extractor, "engine", None)}

    def check(self, cuts: Sequence[Cut], made: Any, where: str) -> None:
        """See :class:`sertools.features.maker.Maker`."""
        engine = getattr(self.extractor, "engine", None)
        if engine is not None:
            log.info("%s by %s", self.block, engine)

    def inputs(self, cut: Cut) -> Any:
        """Size and time of change of a cut's audio files."""
        return audio_state(cut)

    def size(self, cut: Cut) -> int:
        """See :class:`sertools.features.maker.Maker`."""
        width = self.extractor.feature_dim(self.extractor.config.sampling_rate)
        return round(cut.duration / self.extractor.frame_shift) * int(width)

    def make(self, cuts: Sequence[Cut], archive: Archive) -> list[Cut]:
        """See :class:`sertools.features.maker.Maker`."""
        return [with_features(cut, self.extractor, archive) for cut in cuts]


def with_features(cut: Cut, extractor: FeatureExtractor, archive: Archive) -> Cut:
    """A cut with features of its audio, written to ``archive``.

    Raises:
        UserError: audio cannot be read or does not fit, features are not finite.
    """
    sampling_rate = extractor.config.sampling_rate
    samples = load_samples(cut, sampling_rate)
    features = np.asarray(extractor.extract(samples, sampling_rate))
    expected = int(compute_num_frames(cut.duration, extractor.frame_shift, sampling_rate))
    if features.shape[0] != expected:
        raise UserError(f"{cut.id}: {features.shape[0]} frames where its duration means {expected}")
    if not np.isfinite(features).all():
        raise UserError(f"{cut.id}: features are not finite; is the audio whole?")
    manifest = Features(
        type=extractor.name,
        num_frames=features.shape[0],
        num_features=features.shape[1],
        frame_shift=extractor.frame_shift,
        sampling_rate=sampling_rate,
        start=cut.start,
        duration=cut.duration,
        storage_type=archive.storage_type,
        storage_path=archive.path,
        storage_key=archive.write(cut.id, features),
        recording_id=cut.recording.id,
        channels=cut.channel,
    )
    # features are of the audio at the extractor's rate: so must the cut's recording be
    audio = cut if cut.sampling_rate == sampling_rate else cut.resample(sampling_rate)
    result = audio.drop_features()
    result.features = manifest
    return result
