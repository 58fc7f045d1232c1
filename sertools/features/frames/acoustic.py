"""Acoustic features of cuts, by any lhotse extractor, for the store."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from lhotse.audio.utils import AudioLoadingError, DurationMismatchError
from lhotse.cut import Cut
from lhotse.features.base import FeatureExtractor, Features
from lhotse.utils import compute_num_frames

from sertools.errors import UserError
from sertools.features.store import Archive


class AcousticFeatures:
    """A :class:`sertools.features.store.Maker`: features of each cut's audio.

    Raises:
        UserError: the extractor gives another number of frames than lhotse's manifests need.
    """

    made_by = "the feature stage"

    def __init__(self, extractor: FeatureExtractor) -> None:
        if getattr(extractor.config, "snip_edges", False):
            raise UserError(
                "snip_edges: true does not go with lhotse manifests, where the number of frames is "
                "duration / frame_shift; set snip_edges: false in the feature configuration"
            )
        self.extractor = extractor

    @property
    def settings(self) -> dict[str, Any]:
        """See :class:`sertools.features.store.Maker`."""
        config = self.extractor.config.to_dict()
        return {
            "extractor": self.extractor.name,
            # a file in one store by two engines would be neither's
            "engine": getattr(self.extractor, "engine", None),
            "config": {k: v for k, v in config.items() if k not in ("device", "engine")},
        }

    def inputs(self, cut: Cut) -> Any:
        """Size and time of change of a cut's audio files."""
        state: list[Any] = []
        for source in cut.recording.sources:
            if source.type == "file":
                try:
                    info = os.stat(source.source)
                except OSError:
                    raise UserError(
                        f"audio file {source.source} of {cut.id} is gone; mend the corpus, or run the preparation again"
                    ) from None
                state.append([info.st_size, info.st_mtime_ns])
        return state

    def make(self, cuts: Sequence[Cut], archive: Archive) -> list[Cut]:
        """See :class:`sertools.features.store.Maker`."""
        return [with_features(cut, self.extractor, archive) for cut in cuts]

    def relocate(self, cut: dict[str, Any], archive: str) -> None:
        """See :class:`sertools.features.store.Maker`."""
        cut["features"]["storage_path"] = archive


def with_features(cut: Cut, extractor: FeatureExtractor, archive: Archive) -> Cut:
    """A cut with features of its audio, written to ``archive``.

    Raises:
        UserError: audio cannot be read or does not fit, features are not finite.
    """
    sampling_rate = extractor.config.sampling_rate
    try:
        audio = cut if cut.sampling_rate == sampling_rate else cut.resample(sampling_rate)
        samples = audio.load_audio()
    except (OSError, ValueError, AssertionError, AudioLoadingError, DurationMismatchError) as error:
        raise UserError(
            f"cannot read the audio of {cut.id} ({cut.recording.sources[0].source}): {str(error).splitlines()[0]}; "
            "mend the corpus, or run its preparation again with --skip-bad"
        ) from error
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
    result = audio.drop_features()
    result.features = manifest
    return result
