"""Heads on hidden layers as a kind of systems."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sertools.config import from_dict
from sertools.emotion.kinds import Kind
from sertools.emotion.layers_head.config import LayersConfig
from sertools.emotion.layers_head.system import LayersSystem


def _read(values: dict[str, Any], where: str) -> LayersConfig:
    return from_dict(LayersConfig, values, where)


def _make(config: LayersConfig, given: Mapping[str, Path]) -> LayersSystem:
    return LayersSystem(config)


def _load(runs: dict[str, Path], **options: Any) -> Any:
    from sertools.emotion.layers_head.export import LayersEnsemble
    from sertools.prediction.stored import load_stored

    return LayersEnsemble(load_stored(runs, LayersConfig, lambda config, given: LayersSystem(config), **options), runs)


KIND = Kind("layers_head", _read, _make, load=_load)
