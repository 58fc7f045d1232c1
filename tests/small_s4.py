"""A small S4, on the utterances of the fixture ``told``."""

import json
from pathlib import Path
from typing import Any

import torch

from sertools.config import from_dict
from sertools.emotion.experiment import Experiment, always, train_run
from sertools.emotion.inputs import Inputs
from sertools.emotion.joint_asr.config import S4Config
from sertools.emotion.joint_asr.data import Spoken
from sertools.emotion.joint_asr.system import S4System, make_system
from sertools.emotion.joint_asr.task import S4Task
from sertools.emotion.kinds import find_kind
from sertools.emotion.system import RunId
from sertools.partitions.folds import read_folds
from sertools.partitions.target import Target
from sertools.training.distributed import SINGLE

TARGET = Target("emotion", classes=("angry", "sad"))


SMALL: dict[str, Any] = {
    "system": "s4",
    "model": {"feature_dim": 6, "word_dim": 5, "lstm_dim": 6, "heads": 2, "attention_dim": 8, "hidden_dim": 16},
    "data": {"batch_size": 5, "max_frames": 20},
    "words": {"min_count": 1},
    "states": {"search": {"beam": 2, "max_tokens": 6}},
    "training": {"epochs": 2, "learning_rate": 5e-3, "final_learning_rate": 2e-3, "warmup": 0.0},
}


SYSTEMS: dict[str, dict[str, Any]] = {
    "audio": {"model__branches": ["audio"]},
    "text": {"model__branches": ["words"]},
    "text_asr": {"model__branches": ["words"], "words__test": "asr"},
    "combined": {"model__branches": ["audio", "words"]},
    "combined_asr": {"model__branches": ["audio", "words"], "words__train": "asr", "words__test": "asr"},
    "asr_ser": {"model__branches": ["audio", "decoder_states"]},
    "asr_ser_frozen": {"model__branches": ["audio", "decoder_states"], "joint__train_recogniser": False},
    "asr_ser_own": {
        "model__branches": ["audio", "decoder_states"], "states__train": "hypothesis", "joint__normalise": "code",
        "states__decoder_state": "output", "data__mask_padding": False, "data__class_weights": "balanced",
    },
    "asr_ser_told": {"model__branches": ["decoder_states"], "states__test": "reference"},
    "text_of_the_recogniser": {"model__branches": ["words"], "words__vocabulary": "recogniser"},
}  # fmt: skip


def changed(values: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """``values`` with dotted keys changed."""
    result = json.loads(json.dumps(values))
    for key, value in changes.items():
        *groups, last = key.split(".")
        inner = result
        for group in groups:
            inner = inner.setdefault(group, {})
        inner[last] = value
    return result


def system(told: Any, **changes: Any) -> S4System:
    config = from_dict(S4Config, changed(SMALL, {key.replace("__", "."): value for key, value in changes.items()}))
    return make_system(config, told.recogniser, told.transcripts)


def run(told: Any, made: S4System, out: Path, **options: Any) -> Path:
    given = {"recogniser": told.recogniser, "transcripts": told.transcripts}
    inputs = Inputs.of(find_kind("s4").needs(made.config), given, RunId("Session1", 1))
    return train_run(
        Experiment(always(made, inputs), read_folds(told.folds), out, (told.cuts,)), "Session1", 1, **options
    )


def utterances(told: Any, made: S4System) -> list[Spoken]:
    folds = read_folds(told.folds)
    found = made.read([told.cuts], {name: folds.classes.index(label) for name, label in folds.labels.items()})
    return [found[name] for name in sorted(found)]


def task(told: Any, made: S4System, count: int = 12) -> S4Task:
    some = utterances(told, made)
    return made.task(TARGET, some[:count], some[count : count + 6], seed=3, device="cpu", group=SINGLE)


# words and batches


def spoken(name: str, *words: str, frames: int = 10, label: int = 0) -> Spoken:
    return Spoken(name, "s", "c", label, frames, torch.arange(frames).float()[:, None], words)
