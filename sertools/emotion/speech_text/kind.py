"""Recurrent networks on speech and words as a kind of systems."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sertools.config import from_dict
from sertools.emotion.kinds import Kind
from sertools.emotion.speech_text.config import SpeechTextConfig
from sertools.emotion.speech_text.system import SpeechTextSystem


def _read(values: dict[str, Any], where: str) -> SpeechTextConfig:
    return from_dict(SpeechTextConfig, values, where)


def _make(config: SpeechTextConfig, given: Mapping[str, Path]) -> SpeechTextSystem:
    return SpeechTextSystem(config)


def _load(runs: dict[str, Path], **options: Any) -> Any:
    from sertools.emotion.speech_text.export import SpeechTextEnsemble
    from sertools.prediction.stored import load_stored

    make = lambda config, given: SpeechTextSystem(config)  # noqa: E731
    return SpeechTextEnsemble(load_stored(runs, SpeechTextConfig, make, **options), runs)


KIND = Kind("speech_text", _read, _make, load=_load)
