"""Small emotion corpora of random features that can be learnt: cuts with features, and folds."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from lhotse import CutSet, Features, MonoCut, SupervisionSegment
from lhotse.features.io import LilcomChunkyWriter

from sertools.a2w.system import A2wConfig
from sertools.a2w.training import save_a2w
from sertools.config import to_dict
from sertools.decoding.transcripts import Transcript, write_transcripts
from sertools.lang.vocabulary import VocabularyConfig, build_vocabulary
from sertools.models.a2w import A2wModel, A2wModelConfig
from sertools.partitions.examples import Example
from sertools.partitions.folds import write_folds
from sertools.partitions.making import FoldsConfig, make_folds
from sertools.training.checkpoint import Checkpoint

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


WORDS = ("no", "stop", "alas", "why", "the", "tree")


@dataclass(frozen=True)
class Told:
    """A corpus of which a part of the words tells the class, a recogniser with random weights, and transcripts.

    Features are patterns of the words, six frames each.
    """

    cuts: Path
    folds: Path
    recogniser: Path
    transcripts: Path


def told_corpus(directory: Path, count: int = 48) -> Told:
    """See :class:`Told`; utterances by 8 speakers in 4 sessions (protocol strict)."""
    generator = np.random.default_rng(0)
    patterns = generator.normal(0, 1, (len(WORDS), 6))
    cuts, examples, heard = [], [], []
    with LilcomChunkyWriter(directory / "features.lca", tick_power=-8) as writer:
        for number in range(count):
            speaker, label = number % 8, (number // 8) % 2
            length = int(generator.integers(1, 5))
            said = [2 * label + int(generator.integers(2)), *generator.integers(4, 6, length - 1).tolist()]
            values = np.repeat(patterns[said], 6, 0) + generator.normal(0, 0.3, (6 * length, 6))
            text = " ".join(WORDS[word] for word in said).capitalize() + "."
            if number == 5:
                text = "[LAUGHTER]"
            utterance, duration = f"utt{number:02d}", len(values) / 100
            supervision = SupervisionSegment(
                id=utterance, recording_id=utterance, start=0.0, duration=duration, speaker=f"spk{speaker}", text=text,
                custom={"corpus": "noise", "emotion": CLASSES[label], "session": f"Session{speaker // 2 + 1}"},
            )  # fmt: skip
            features = Features(
                "noise", len(values), 6, 0.01, 16000, 0.0, duration, writer.name, writer.storage_path,
                writer.write(utterance, values.astype(np.float32)), utterance, 0,
            )  # fmt: skip
            cuts.append(MonoCut(utterance, 0.0, duration, 0, [supervision], features))
            examples.append(Example(utterance, f"spk{speaker}", f"Session{speaker // 2 + 1}", CLASSES[label]))
            # the word that tells is often wrong, and one hypothesis is empty
            wrong = "the" if generator.random() < 0.4 else WORDS[said[0]]
            heard.append(Transcript(utterance, f"spk{speaker}", (), (wrong,) if number != 7 else ()))
    CutSet.from_cuts(cuts).to_file(directory / "cuts.jsonl.gz")
    config = FoldsConfig(class_set="two", protocol="strict")
    write_folds(directory / "folds", make_folds(config, examples, corpus="noise", classes=CLASSES))
    write_transcripts(heard, directory / "asr" / "transcripts.csv")
    vocabulary = build_vocabulary([" ".join(WORDS[:5])], VocabularyConfig())  # "tree" is unknown
    torch.manual_seed(0)
    shape = A2wModelConfig(6, 3, 1, 5, 7, 4, 6, 2, 5)
    model = A2wModel(shape, len(vocabulary))
    info = {"vocabulary": vocabulary.sha256, "auxiliary_outputs": 0, "features": None}
    save_a2w(directory / "a2w", Checkpoint(model.state_dict(), to_dict(A2wConfig(model=shape)), info), vocabulary)
    return Told(
        directory / "cuts.jsonl.gz", directory / "folds", directory / "a2w", directory / "asr" / "transcripts.csv"
    )


@pytest.fixture(scope="session")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """See :class:`Told`."""
    return told_corpus(tmp_path_factory.mktemp("told"))


@pytest.fixture(scope="session")
def told_little(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """The same with 16 utterances."""
    return told_corpus(tmp_path_factory.mktemp("told_little"), 16)
