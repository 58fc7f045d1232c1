"""From a manifest of cuts to cuts with features of any kind: what the feature stages of a recipe do."""

from collections.abc import Callable
from dataclasses import dataclass, field, make_dataclass
from pathlib import Path
from typing import Any

from sertools.config import from_dict, to_dict
from sertools.errors import UserError
from sertools.features.audio import check_cuts
from sertools.features.band_pass import BandPassConfig, band_pass
from sertools.features.blocks import Block
from sertools.features.frames.perturb import perturb
from sertools.features.kind import FeatureKind, Given
from sertools.features.kinds import KINDS
from sertools.features.maker import Maker
from sertools.features.origin import kinds_of
from sertools.features.store import CUTS, StoreConfig, extract, write_manifest
from sertools.files import content_hash
from sertools.manifests import load_cuts
from sertools.provenance import Stamp, made_with

__all__ = ["CUTS", "FeaturesConfig", "PerturbConfig", "collect_features", "compute_features", "features_config",
           "made_before"]  # fmt: skip


@dataclass(frozen=True)
class PerturbConfig:
    """What is done to audio before features are computed.

    Attributes:
        speed, volume, seed: of training data, see :func:`sertools.features.frames.perturb.perturb`.
        band_pass: a band that is kept of it, see :mod:`sertools.features.band_pass`.
    """

    speed: bool = False
    volume: bool = False
    seed: int = 0
    band_pass: BandPassConfig | None = None


@dataclass(frozen=True)
class FeaturesConfig:
    """``conf/mfcc.yaml``, ``conf/fbank.yaml``, ``conf/bottleneck.yaml`` ...: see :func:`features_config`.

    Attributes:
        options: of one kind: an instance of its dataclass, which says which kind it is.
        store: how they are kept.
        perturb: of the audio, for kinds that read it.
    """

    options: Any
    store: StoreConfig = field(default_factory=StoreConfig)
    perturb: PerturbConfig = field(default_factory=PerturbConfig)

    def __post_init__(self) -> None:
        if self.kind.reads != "audio" and self.perturb != PerturbConfig():
            raise ValueError(f"perturb: is of audio, and {self.kind.name} is computed from what cuts have already")

    @property
    def kind(self) -> FeatureKind:
        """Which kind of features."""
        found = next((kind for kind in KINDS.values() if kind.config is type(self.options)), None)
        if found is None:
            raise TypeError(f"{type(self.options).__name__} is the configuration of no kind of features")
        return found


def features_config(values: dict[str, Any], where: str) -> FeaturesConfig:
    """A configuration out of the settings of a file: one block named like a kind, ``store:`` and ``perturb:``.

    Args:
        values, where: as :func:`sertools.config.read_values` gives them.

    Raises:
        UserError: no such block or two; an unknown key, a value of a wrong type.
    """
    blocks = [name for name in KINDS if values.get(name) is not None]
    if len(blocks) != 1:
        raise UserError(
            f"{where}: one block says which features, called {', '.join(KINDS)}; here are "
            f"{' and '.join(blocks) or 'none of these with settings (NAME: {} for the defaults)'}"
        )
    kind = KINDS[blocks[0]]
    shape = make_dataclass(
        "FeaturesConfig",
        [
            (kind.name, kind.config),
            ("store", StoreConfig, field(default_factory=lambda: kind.store)),
            ("perturb", PerturbConfig, field(default_factory=PerturbConfig)),
        ],
    )
    read: Any = from_dict(shape, {key: value for key, value in values.items() if key not in KINDS or value is not None},
                          where)  # fmt: skip
    try:
        return FeaturesConfig(getattr(read, kind.name), read.store, read.perturb)
    except ValueError as error:
        raise UserError(f"{where}: {error}") from error


def made_before(config: FeaturesConfig) -> str:
    """The stage that makes the cuts from which features are computed, for messages."""
    if config.kind.reads == "features":
        return "the feature stage (local/collect_features.py) or the i-vector stage"
    return "the preparation stage (local/prepare_corpus.py, prepare_table.py or augment_corpus.py)"


def compute_features(
    cuts_path: Path | str,
    directory: Path | str,
    config: FeaturesConfig,
    given: Given | None = None,
    *,
    job: int = 1,
    num_jobs: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[int, int]:
    """Compute one job's share.

    Args:
        cuts_path: cuts; for kinds that are computed from other features, with those.
        directory: for the blocks.
        config: what is computed.
        given: what the kind needs besides cuts.
        job, num_jobs, progress: see :func:`sertools.features.store.extract`.

    Returns:
        Number of blocks computed, and of blocks kept.

    Raises:
        UserError: something needed is missing; cuts of which this kind cannot be computed; see also
            :func:`sertools.features.store.extract`.
    """
    maker, blocks = _maker_and_blocks(cuts_path, config, given)
    return extract(blocks, maker, directory, config.store, job=job, num_jobs=num_jobs, progress=progress)


def collect_features(
    cuts_path: Path | str, directory: Path | str, config: FeaturesConfig, given: Given | None = None
) -> str | None:
    """Write ``directory``/cuts.jsonl.gz from the blocks of all jobs, each checked.

    Args:
        cuts_path, directory, config, given: as for :func:`compute_features`.

    Returns:
        Why the file was written, or None if it was up to date.

    Raises:
        UserError: see :func:`sertools.features.store.write_manifest`.
    """
    maker, blocks = _maker_and_blocks(cuts_path, config, given)
    made_from = made_with(cuts_path)
    settings = maker.record | {"store": vars(config.store)}
    if config.kind.reads == "audio":
        # as before there were band-pass filters
        settings["perturb"] = {key: value for key, value in to_dict(config.perturb).items() if value is not None}
    if config.kind.reads != "audio" or kinds_of(made_from):
        settings["features"] = made_from  # what else is on the cuts
    stamp = Stamp(settings, {"cuts": content_hash(cuts_path)})
    return write_manifest(blocks, maker, directory, config.store, stamp)


def _maker_and_blocks(cuts_path: Path | str, config: FeaturesConfig, given: Given | None) -> tuple[Maker, list[Block]]:
    given = given or Given()
    config.kind.check_given(given)
    maker = config.kind.maker(config.options, given)
    cuts = load_cuts(cuts_path)
    if config.kind.reads == "audio":
        check_cuts(cuts, str(cuts_path))
    maker.check(list(cuts), made_with(cuts_path), str(cuts_path))
    options = config.perturb
    cuts = perturb(cuts, speed=options.speed, volume=options.volume, seed=options.seed)
    if options.band_pass is not None:
        cuts = band_pass(cuts, options.band_pass)
    return maker, maker.blocks(cuts, config.store.block_minutes)
