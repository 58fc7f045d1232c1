"""Support vector machines as a kind of systems."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sertools.config import from_dict
from sertools.emotion.kinds import Kind
from sertools.emotion.svm.config import SvmConfig
from sertools.emotion.svm.system import SvmSystem


def _read(values: dict[str, Any], where: str) -> SvmConfig:
    return from_dict(SvmConfig, values, where)


def _make(config: SvmConfig, given: Mapping[str, Path]) -> SvmSystem:
    return SvmSystem(config)


def _load(runs: dict[str, Path], **options: Any) -> Any:
    from sertools.prediction.stored import load_stored

    return load_stored(runs, SvmConfig, lambda config, given: SvmSystem(config), **options)


KIND = Kind("svm", _read, _make, load=_load)
