"""Speech and words: attention against a loop, padding, and as a system."""

from pathlib import Path

import numpy as np
import pytest
import torch
from lhotse import CutSet
from vector_corpus import DIM, make_vector_corpus

from sertools.emotion.experiment import Experiment, train_run
from sertools.emotion.kinds import load_system
from sertools.emotion.speech_text.config import SpeechTextConfig, SpeechTextModelConfig
from sertools.emotion.speech_text.network import Sequences, SpeechTextNetwork, WordsOverFrames, frames_of_words
from sertools.features.access import read
from sertools.features.arrays import ArraysWriter
from sertools.features.maker import Archive
from sertools.manifests import read_cuts
from sertools.partitions.folds import read_folds
from sertools.runs.folder import read_run
from sertools.runs.predictions import read_predictions

TINY = SpeechTextModelConfig(hidden_dim=3, attention_dim=4, head_dim=5)


def test_words_attend_to_the_frames_there_are() -> None:
    torch.manual_seed(0)
    layer = WordsOverFrames(3, 5, 4)
    words, frames, lengths = torch.randn(2, 3, 3), torch.randn(2, 6, 5), torch.tensor([6, 4])
    found = layer(words, frames, lengths)
    for n in range(2):
        for w in range(3):
            scores = [float(layer.query(words[n, w]) @ layer.key(frames[n, t])) / 2 for t in range(int(lengths[n]))]
            weights = np.exp(scores) / np.exp(scores).sum()
            expected = sum(float(a) * frames[n, t] for t, a in enumerate(weights))
            assert torch.allclose(found[n, w], expected, atol=1e-5)


def test_words_are_put_beside_the_frames_in_which_they_are_said() -> None:
    frames = torch.arange(20.0).reshape(2, 10, 1)
    times = torch.tensor([[[0, 0.2], [0.2, 0.3], [0.55, 1]], [[0, 0.5], [0.5, 0.5], [1, 1]]])
    found = frames_of_words(times, frames, torch.tensor([10, 8]))[..., 0]
    # frames 0 1, 2, 5 to 9; of the second's 8, which begin with 10: 0 to 3, one where a word takes no time
    assert found.tolist() == [[0.5, 2.0, 7.0], [11.5, 14.0, 17.0]]


def test_times_are_those_of_told_words() -> None:
    assert SpeechTextConfig(words="text:1", times="word_times").times == "word_times"
    for settings in ({}, {"words": "recognised_text:1"}, {"words": "text:1", "speech": ""}):
        with pytest.raises(ValueError, match="of the words of the transcript"):
            SpeechTextConfig(times="word_times", **settings)


@pytest.mark.parametrize("dims", [(4, 0), (0, 6), (4, 6)])
def test_what_else_is_in_the_batch_changes_nothing(dims: tuple[int, int]) -> None:
    torch.manual_seed(0)
    network = SpeechTextNetwork(TINY, *dims, 2).eval()
    lengths = [torch.tensor([7, 4]), torch.tensor([2, 3])]
    both = [
        Sequences(torch.randn(2, int(n.max()), dim), n) if dim else None for dim, n in zip(dims, lengths, strict=True)
    ]
    together = network(*both)
    for n in range(2):
        alone = [
            None if s is None else Sequences(s.values[n : n + 1, : s.lengths[n]], s.lengths[n : n + 1]) for s in both
        ]
        assert torch.allclose(network(*alone)[0], together[n], atol=1e-6)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Cuts of which a frame of ``ssl`` and a word of ``text`` tell the class; and folds."""
    directory = tmp_path_factory.mktemp("told")
    cuts, folds, _ = make_vector_corpus(directory)
    generator, made, path = np.random.default_rng(1), [], directory / "layers.bin"
    with open(path, "wb") as stream:
        archive = Archive(ArraysWriter(stream, "float16"), path)
        for cut in read_cuts(cuts):
            values = read(cut, "functionals").numpy()[0]
            for name, rows in (("ssl", 6), ("text", 3)):
                array = generator.normal(size=(2, rows, DIM)).astype(np.float16)
                array[1, generator.integers(rows)] += 2 * values
                cut = archive.with_array(cut, name, array, cut.duration / rows)
            thirds = np.arange(3, dtype=np.float32)[:, None] / 3 + [0, 1 / 3]
            cut = archive.with_array(cut, "word_times", thirds, cut.duration / 3)
            made.append(cut)
    CutSet.from_cuts(made).to_file(directory / "told.jsonl.gz")
    return directory / "told.jsonl.gz", folds


@pytest.mark.parametrize(("words", "times"), [("", ""), ("text:1", ""), ("text:1", "word_times")])
def test_as_a_kind_of_system(told: tuple[Path, Path], tmp_path: Path, words: str, times: str) -> None:
    cuts, folds = told
    settings = ["system=speech_text", "model.layers=[1]", f"words='{words}'",
                f"times='{times}'", "model.hidden_dim=8", "model.head_dim=0",
                "training.epochs=12", "training.learning_rate=0.02", "training.final_learning_rate=0.01"]  # fmt: skip
    experiment = Experiment(load_system(overrides=settings), read_folds(folds), tmp_path, (cuts,))
    run = train_run(experiment, "Session1", 1)
    table = read_predictions(run / "predictions.csv").select(part="test")
    assert (table.outputs.argmax(1) == table.labels).mean() > 0.45
    said = " ".join(read_run("run", run).info["remarks"])
    assert ("TESTED WITH REFERENCE TRANSCRIPTS" in said) == bool(words)
