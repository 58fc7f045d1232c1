"""A small emotion corpus of random features that can be learnt: cuts with features, and folds."""

from pathlib import Path

import numpy as np
import pytest
from lhotse import CutSet, Features, MonoCut, SupervisionSegment
from lhotse.features.io import LilcomChunkyWriter

from sertools.evaluation.folds import Example, FoldsConfig, make_folds, write_folds

CLASSES = ("angry", "sad")


@pytest.fixture
def tiny_corpus(tmp_path: Path) -> tuple[Path, Path]:
    """Manifest of 48 cuts by 8 speakers in 4 sessions; folds (protocol strict)."""
    generator = np.random.default_rng(0)
    cuts, examples = [], []
    with LilcomChunkyWriter(tmp_path / "features.lca", tick_power=-8) as writer:
        for number in range(48):
            speaker, label = number % 8, (number // 8) % 2
            frames = int(generator.integers(20, 60))
            values = generator.normal(0, 1, (frames, 6)) + 0.8 * (2 * label - 1) * np.array([1, -1, 0, 0, 0, 0])
            utterance, duration = f"utt{number:02d}", frames / 100
            supervision = SupervisionSegment(
                id=utterance, recording_id=utterance, start=0.0, duration=duration, speaker=f"spk{speaker}",
                custom={"corpus": "noise", "emotion": CLASSES[label], "session": f"Session{speaker // 2 + 1}"},
            )  # fmt: skip
            features = Features(
                "noise", frames, 6, 0.01, 16000, 0.0, duration, writer.name, writer.storage_path,
                writer.write(utterance, values.astype(np.float32)), utterance, 0,
            )  # fmt: skip
            cuts.append(MonoCut(utterance, 0.0, duration, 0, [supervision], features))
            examples.append(Example(utterance, f"spk{speaker}", f"Session{speaker // 2 + 1}", CLASSES[label]))
    CutSet.from_cuts(cuts).to_file(tmp_path / "cuts.jsonl.gz")
    config = FoldsConfig(class_set="two", protocol="strict")
    write_folds(tmp_path / "folds", make_folds(config, examples, corpus="noise", classes=CLASSES))
    return tmp_path / "cuts.jsonl.gz", tmp_path / "folds"
