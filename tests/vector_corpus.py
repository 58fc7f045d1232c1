"""A tiny corpus of one vector an utterance, as functionals lie on cuts."""

from pathlib import Path

import numpy as np
from lhotse import CutSet, MonoCut, SupervisionSegment
from lhotse.features.io import LilcomChunkyWriter

from sertools.partitions.examples import Example
from sertools.partitions.folds import write_folds
from sertools.partitions.making import FoldsConfig, make_folds

CLASSES = ("angry", "happy", "sad")
DIM = 6


def make_vector_corpus(directory: Path, count: int = 96) -> tuple[Path, Path, Path]:
    """Cuts of 8 speakers in 4 sessions; folds of emotion, and folds of gender over the same parts."""
    generator = np.random.default_rng(0)
    centres = generator.normal(0, 1.2, (len(CLASSES), DIM))
    cuts, examples = [], []
    directory.mkdir(parents=True, exist_ok=True)
    with LilcomChunkyWriter(directory / "functionals.lca", tick_power=-12) as writer:
        for number in range(count):
            speaker, label = number % 8, (number // 8) % 3
            gender = "female" if speaker % 2 else "male"
            values = centres[label] + generator.normal(0, 1, DIM)
            values[-1] += 2 if gender == "female" else -2
            name, duration = f"utt{number:02d}", 1.0 + 0.01 * number
            supervision = SupervisionSegment(
                name, name, 0.0, duration, speaker=f"spk{speaker}", gender=gender,
                custom={"corpus": "noise", "emotion": CLASSES[label], "session": f"Session{speaker // 2 + 1}"},
            )  # fmt: skip
            array = writer.store_array(
                name, values[None].astype(np.float32), frame_shift=duration, temporal_dim=0, start=0.0
            )
            cuts.append(MonoCut(name, 0.0, duration, 0, [supervision]).with_custom("functionals", array))
            examples.append((name, f"spk{speaker}", f"Session{speaker // 2 + 1}", CLASSES[label], gender))
    CutSet.from_cuts(cuts).to_file(directory / "cuts.jsonl.gz")
    config = FoldsConfig(class_set="three", protocol="strict")
    for place, column, classes in (("folds", 3, CLASSES), ("gender", 4, ("female", "male"))):
        some = [Example(e[0], e[1], e[2], e[column]) for e in examples]
        write_folds(directory / place, make_folds(config, some, corpus="noise", classes=classes))
    return directory / "cuts.jsonl.gz", directory / "folds", directory / "gender"
