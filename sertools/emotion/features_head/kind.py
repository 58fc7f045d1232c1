"""Heads on stored features as a kind of systems."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sertools.config import from_dict
from sertools.emotion.features_head.config import HeadConfig
from sertools.emotion.features_head.system import HeadSystem
from sertools.emotion.kinds import Kind


def _read(values: dict[str, Any], where: str) -> HeadConfig:
    return from_dict(HeadConfig, values, where)


def _make(config: HeadConfig, given: Mapping[str, Path]) -> HeadSystem:
    return HeadSystem(config)


def _load(runs: dict[str, Path], **options: Any) -> Any:
    from sertools.prediction.stored import load_stored

    return load_stored(runs, HeadConfig, lambda config, given: HeadSystem(config), **options)


KIND = Kind("features_head", _read, _make, load=_load)
