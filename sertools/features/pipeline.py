"""From a manifest of cuts to cuts with features: what the feature stage of a recipe does."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from lhotse import CutSet

from sertools.config import to_dict
from sertools.features.mfcc import Mfcc, MfccConfig
from sertools.features.perturb import perturb
from sertools.features.store import StoreConfig, collect, extract
from sertools.files import content_hash, replacing
from sertools.provenance import Stamp, why_stale, write_stamp

CUTS = "cuts.jsonl.gz"


@dataclass(frozen=True)
class PerturbConfig:
    """Perturbation of training data, see :func:`sertools.features.perturb.perturb`."""

    speed: bool = False
    volume: bool = False
    seed: int = 0


@dataclass(frozen=True)
class FeaturesConfig:
    """``conf/mfcc.yaml``."""

    mfcc: MfccConfig = field(default_factory=MfccConfig)
    store: StoreConfig = field(default_factory=StoreConfig)
    perturb: PerturbConfig = field(default_factory=PerturbConfig)


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
    cuts = _perturbed(cuts_path, config)
    return extract(cuts, Mfcc(config.mfcc), directory, config.store, job=job, num_jobs=num_jobs, progress=progress)


def collect_features(cuts_path: Path | str, directory: Path | str, config: FeaturesConfig) -> str | None:
    """Write ``directory``/cuts.jsonl.gz from the blocks of all jobs, each checked.

    Returns:
        Why the file was written, or None if it was up to date.

    Raises:
        UserError: see :func:`sertools.features.store.collect`.
    """
    directory = Path(directory)
    extractor = Mfcc(config.mfcc)
    cuts = collect(_perturbed(cuts_path, config), extractor, directory, config.store)
    blocks = {path.name: content_hash(path) for path in sorted(directory.glob("block-*.json"))}
    # the manifest holds the folder's full name
    settings = to_dict(config) | {"engine": extractor.engine, "folder": str(directory.resolve())}
    stamp = Stamp(settings, {"cuts": content_hash(cuts_path)} | blocks)
    reason = why_stale(directory, stamp)
    if reason is not None:
        with replacing(directory / CUTS) as temporary:
            cuts.to_file(temporary)
        write_stamp(directory, stamp, [CUTS])
    return reason


def _perturbed(cuts_path: Path | str, config: FeaturesConfig) -> CutSet:
    cuts = CutSet.from_file(cuts_path).to_eager()
    options = config.perturb
    return perturb(cuts, speed=options.speed, volume=options.volume, seed=options.seed)
