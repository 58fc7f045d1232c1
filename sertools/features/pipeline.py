"""From a manifest of cuts to cuts with features: what the feature stage of a recipe does."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sertools.config import to_dict
from sertools.features.frames.acoustic import AcousticFeatures
from sertools.features.frames.fbank import Fbank, FbankConfig
from sertools.features.frames.mfcc import KaldiFeatures, Mfcc, MfccConfig
from sertools.features.frames.perturb import perturb
from sertools.features.store import CUTS, Block, StoreConfig, extract, make_blocks, write_manifest
from sertools.files import content_hash
from sertools.manifests import load_cuts
from sertools.provenance import Stamp

__all__ = ["CUTS", "FeaturesConfig", "PerturbConfig", "collect_features", "compute_features"]


@dataclass(frozen=True)
class PerturbConfig:
    """Perturbation of training data, see :func:`sertools.features.frames.perturb.perturb`."""

    speed: bool = False
    volume: bool = False
    seed: int = 0


@dataclass(frozen=True)
class FeaturesConfig:
    """``conf/mfcc.yaml``, ``conf/fbank.yaml``.

    Attributes:
        mfcc, fbank: what is computed: one of the two.
        store: how it is kept.
        perturb: of training data.
    """

    mfcc: MfccConfig | None = None
    store: StoreConfig = field(default_factory=StoreConfig)
    perturb: PerturbConfig = field(default_factory=PerturbConfig)
    fbank: FbankConfig | None = None

    def __post_init__(self) -> None:
        if (self.mfcc is None) == (self.fbank is None):
            raise ValueError("either mfcc: or fbank: says which features, as in conf/mfcc.yaml and conf/fbank.yaml")

    def extractor(self) -> KaldiFeatures:
        """What computes them.

        Raises:
            MissingPackage: the engine is not installed.
        """
        return Fbank(self.fbank) if self.fbank is not None else Mfcc(self.mfcc)

    def settings(self) -> dict[str, Any]:
        """As a stamp holds it: the block that is not there is left out."""
        return {name: value for name, value in to_dict(self).items() if value is not None}


def compute_features(
    cuts_path: Path | str,
    directory: Path | str,
    config: FeaturesConfig,
    *,
    job: int = 1,
    num_jobs: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[int, int]:
    """Extract one job's share; see :func:`sertools.features.store.extract`."""
    maker, blocks = AcousticFeatures(config.extractor()), _blocks(cuts_path, config)
    return extract(blocks, maker, directory, config.store, job=job, num_jobs=num_jobs, progress=progress)


def collect_features(cuts_path: Path | str, directory: Path | str, config: FeaturesConfig) -> str | None:
    """Write ``directory``/cuts.jsonl.gz from the blocks of all jobs, each checked.

    Returns:
        Why the file was written, or None if it was up to date.

    Raises:
        UserError: see :func:`sertools.features.store.write_manifest`.
    """
    extractor = config.extractor()
    stamp = Stamp(config.settings() | {"engine": extractor.engine}, {"cuts": content_hash(cuts_path)})
    return write_manifest(_blocks(cuts_path, config), AcousticFeatures(extractor), directory, config.store, stamp)


def _blocks(cuts_path: Path | str, config: FeaturesConfig) -> list[Block]:
    cuts = load_cuts(cuts_path)
    options = config.perturb
    cuts = perturb(cuts, speed=options.speed, volume=options.volume, seed=options.seed)
    return make_blocks(cuts, config.store.block_minutes)
