"""``conf/ivector.yaml``."""

from dataclasses import dataclass, field
from typing import Literal

from sertools.features.ivector.extraction import ExtractionConfig
from sertools.features.ivector.extractor_training import ExtractorConfig
from sertools.features.ivector.frontend import CmvnConfig
from sertools.features.ivector.ubm import PosteriorConfig
from sertools.features.ivector.ubm_training import UbmConfig
from sertools.features.store import StoreConfig


@dataclass(frozen=True)
class TransformConfig:
    """From spliced frames to what Gaussians see.

    Attributes:
        context: frames spliced on each side.
        kind: pca, or lda with the classes of ``alignment``.
        dim: dimensions kept.
        subsample: every so many frames are used to estimate it.
        alignment: lda only: name of the alignment in the supervisions (lhotse's
            ``supervision.alignment``) whose symbols are the classes, phones say.
    """

    context: int = 3
    kind: Literal["pca", "lda"] = "pca"
    dim: int = 40
    subsample: int = 2
    alignment: str = "phone"

    def __post_init__(self) -> None:
        if self.context < 0 or self.dim < 1 or self.subsample < 1:
            raise ValueError("context must be at least 0, dim and subsample at least 1")


@dataclass(frozen=True)
class SpeakersConfig:
    """Whose statistics are carried over, and in which order.

    Attributes:
        order: of a speaker's utterances: as in the manifest, or shuffled.  Where the manifest's
            order says something about the labels (RAVDESS: sorted by emotion), what is
            remembered of earlier utterances would too; then shuffle.
        max_utterances: after so many utterances the speaker is forgotten, so that the network
            sees i-vectors of little data in training (Kaldi's ``--utts-per-spk-max 2``);
            0 for never.
        seed: of shuffling.
    """

    order: Literal["manifest", "shuffled"] = "manifest"
    max_utterances: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.max_utterances < 0:
            raise ValueError("max_utterances must be at least 0")


@dataclass(frozen=True)
class IvectorConfig:
    """Training and extraction of i-vectors.

    Attributes:
        transform, cmvn, ubm, extractor, posteriors: of training.
        seed: of training.
        extraction, speakers: of extraction.
        store: how i-vectors are kept.
    """

    transform: TransformConfig = field(default_factory=TransformConfig)
    cmvn: CmvnConfig = field(default_factory=CmvnConfig)
    ubm: UbmConfig = field(default_factory=UbmConfig)
    extractor: ExtractorConfig = field(default_factory=ExtractorConfig)
    posteriors: PosteriorConfig = field(default_factory=PosteriorConfig)
    seed: int = 0
    extraction: ExtractionConfig = field(default_factory=ExtractionConfig)
    speakers: SpeakersConfig = field(default_factory=SpeakersConfig)
    # i-vector coefficients are of the order of one
    store: StoreConfig = field(default_factory=lambda: StoreConfig(tick_power=-10))
