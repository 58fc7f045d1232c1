"""S2's networks as a kind of systems."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sertools.config import from_dict
from sertools.emotion.inputs import Need
from sertools.emotion.kinds import Kind
from sertools.emotion.origins import check_not_heard
from sertools.emotion.progressive.columns import MADE_BY, load_source
from sertools.emotion.progressive.config import ProgressiveConfig
from sertools.emotion.progressive.system import ProgressiveSystem


def _read(values: dict[str, Any], where: str) -> ProgressiveConfig:
    return from_dict(ProgressiveConfig, values, where)


def _needs(config: ProgressiveConfig) -> Sequence[Need]:
    what = "a network of the same kind that was trained on the same fold (EXP/fold_FOLD/seed_SEED/checkpoint)"
    return [Need(name, what, MADE_BY, required=True, check_fold=check_not_heard) for name in config.sources]


def _make(config: ProgressiveConfig, given: Mapping[str, Path]) -> ProgressiveSystem:
    return ProgressiveSystem(config, [load_source(given[name]) for name in config.sources])


def _load(runs: dict[str, Path], **options: Any) -> Any:
    from sertools.prediction.stored import load_stored

    return load_stored(runs, ProgressiveConfig, lambda config, given: ProgressiveSystem(config), **options)


KIND = Kind("progressive", _read, _make, _needs, _load)
