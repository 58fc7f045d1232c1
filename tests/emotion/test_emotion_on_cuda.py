"""Every kind of emotion system trains and predicts on a (fake) CUDA device, with what it gives on the CPU."""

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile
import torch
from lhotse import CutSet, Recording, SupervisionSegment
from vector_corpus import DIM, make_vector_corpus

from sertools.emotion.experiment import Experiment, train_runs
from sertools.emotion.kinds import KINDS, load_system
from sertools.emotion.system import RunId
from sertools.features.access import read
from sertools.features.arrays import ArraysWriter
from sertools.features.maker import Archive
from sertools.manifests import read_cuts
from sertools.partitions.folds import read_folds
from sertools.runs.predictions import read_predictions
from sertools.training.distributed import SINGLE
from sertools.training.loop import Conditions
from sertools.training.optimizer import make_optimizer

if TYPE_CHECKING:
    from fake_cuda import FakeCuda

pytestmark = pytest.mark.skipif(torch.__version__ < "2", reason="the fake CUDA device needs torch 2 (make test-modern)")

ONE = ["training.epochs=1"]
TRUNK = ["model.trunk={feature_dim: 6, hidden_dim: 16, bottleneck_dim: 8, prefinal_dim: 8, strides: [0, 1, 3]}",
         "model.layers=[tdnnf3]", "model.head_dim=8", "data.batch_frames=400"]  # fmt: skip
S4 = ["system=s4", "model={feature_dim: 6, word_dim: 5, lstm_dim: 6, heads: 2, attention_dim: 8, hidden_dim: 16}",
      "data.max_frames=20", "words.min_count=1",
      "states.search={beam: 2, max_tokens: 3}", "data.batch_size=9"]  # fmt: skip
TUNED = ["system=finetune_ssl"]
SMALL = ["system=progressive", "model.hidden=[8, 8]", "model.dropout=0.2", "training.epochs=2"]


@pytest.fixture(scope="module")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Cuts with functionals, spectra (logmel), two layers (ssl), words (text); folds of emotion and gender."""
    directory = tmp_path_factory.mktemp("vectors")
    cuts, folds, gender = make_vector_corpus(directory, 24)
    generator, made = np.random.default_rng(1), []
    with open(directory / "arrays.bin", "wb") as stream:
        archive = Archive(ArraysWriter(stream, "float32"), directory / "arrays.bin")
        for number, cut in enumerate(read_cuts(cuts)):
            told = read(cut, "functionals").numpy()
            spectra = (10 * told[:, -4:] - 40 + generator.normal(size=(4 + number % 6, 4))).astype(np.float32)
            layers = generator.normal(size=(2, 6, DIM)).astype(np.float32)
            cut = archive.with_array(cut, "logmel", spectra, 0.01)
            cut = archive.with_array(cut, "ssl", layers, cut.duration / 6)
            cut = archive.with_array(cut, "text", layers[:, :3].copy(), cut.duration / 3)
            made.append(cut)
    CutSet.from_cuts(made).to_file(directory / "all.jsonl.gz")
    return directory / "all.jsonl.gz", folds, gender


@pytest.fixture(scope="module")
def noise(vectors: tuple[Path, Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same utterances as a tenth of a second of audio."""
    directory, generator, made = tmp_path_factory.mktemp("noise"), np.random.default_rng(1), []
    for number, old in enumerate(read_cuts(vectors[0])):
        path = directory / f"{old.id}.wav"
        soundfile.write(path, (0.1 * generator.normal(size=1600 + 160 * (number % 3))).astype(np.float32), 16000)
        cut = Recording.from_file(path).to_cut().with_id(old.id)
        told = old.supervisions[0]
        cut.supervisions = [
            SupervisionSegment(old.id, old.id, 0.0, cut.duration, speaker=told.speaker, custom=told.custom)
        ]
        made.append(cut)
    CutSet.from_cuts(made).to_file(directory / "cuts.jsonl.gz")
    return directory / "cuts.jsonl.gz"


@contextmanager
def said() -> Iterator[list[str]]:
    """What is logged meanwhile."""
    lines: list[str] = []
    log, handler = logging.getLogger("sertools"), logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    before = log.level
    log.setLevel(logging.INFO)
    log.addHandler(handler)
    try:
        yield lines
    finally:
        log.removeHandler(handler)
        log.setLevel(before)


def same(cuda: Any, cuts: Path, folds: Path, out: Path, settings: list[str], given: Mapping[str, Path] | None = None,
         runs: int = 1) -> Path:  # fmt: skip
    """Train on the fake device and on the CPU; the predictions must be alike.  Gives the CPU's experiment."""
    chosen = [RunId(read_folds(folds).folds[0].name, seed + 1) for seed in range(runs)]
    found = []
    for device, place in (("cuda:0", cuda), ("cpu", nullcontext())):
        systems = load_system(overrides=settings, given=dict(given or {}))
        experiment = Experiment(systems, read_folds(folds), out / device.partition(":")[0], (cuts,))
        with place, said() as lines:
            found.append(list(train_runs(experiment, chosen, conditions=Conditions(device=device))))
        if device != "cpu" and settings[0] != "system=svm":
            assert any(re.match(r"this needs about .* GB", line) for line in lines), "memory is told on a GPU"
    for one, other in zip(*found, strict=True):
        left, right = (read_predictions(run / "predictions.csv") for run in (one, other))
        assert list(left.utterances) == list(right.utterances)
        np.testing.assert_allclose(left.outputs, right.outputs, atol=2e-4)
    return out / "cpu"


FRAMES: dict[str, list[str]] = {
    "features_head": ["system=features_head", *ONE],
    "tdnn": ["system=tdnn", "transfer.start=random", *TRUNK, *ONE],
    "tdnn_bfloat16": ["system=tdnn", "transfer.start=random", "precision=bfloat16", *TRUNK, *ONE],
}


@pytest.mark.parametrize("name", FRAMES)
def test_frames(cuda: "FakeCuda", tiny_corpus: tuple[Path, Path], tmp_path: Path, name: str) -> None:
    same(cuda, *tiny_corpus, tmp_path, FRAMES[name])


VECTORS: dict[str, list[str]] = {
    "layers_head": ["system=layers_head", "stored=frames", "model.head_dim=4", "model.pooling=attention", *ONE],
    "speech_text": ["system=speech_text", "model.layers=[1]", "words='text:1'", "model.hidden_dim=4", *ONE],
    "cnn14": ["system=cnn14", "model.num_mel_bins=4", "model.width=2", "model.blocks=2", "model.dropout=none",
              "data.crop_frames=6", *ONE],
    "svm": ["system=svm"],
}  # fmt: skip


@pytest.mark.parametrize("name", VECTORS)
def test_arrays(cuda: "FakeCuda", vectors: tuple[Path, Path, Path], tmp_path: Path, name: str) -> None:
    same(cuda, *vectors[:2], tmp_path, VECTORS[name])


@pytest.mark.parametrize("method", ["finetune", "progressive"])
def test_stacks(cuda: "FakeCuda", vectors: tuple[Path, Path, Path], tmp_path: Path, method: str) -> None:
    """Two runs in one stack, sources and their targets."""
    cuts, folds, gender = vectors
    source = same(cuda, cuts, gender, tmp_path / "source", SMALL, runs=2)
    given = {"gender": source / "fold_FOLD/seed_SEED/checkpoint"}
    same(cuda, cuts, folds, tmp_path / "target", [*SMALL, f"method={method}", "sources=[gender]"], given, runs=2)


@pytest.mark.transformers
@pytest.mark.parametrize("part", ["but_convolutions", "adapters"])
def test_fine_tuning(
    cuda: "FakeCuda", vectors: tuple[Path, Path, Path], noise: Path, tmp_path: Path, part: str
) -> None:
    from tiny_models import tiny_speech

    tiny_speech(tmp_path / "hubert", "Hubert", do_stable_layer_norm=True, feat_extract_norm="layer")
    settings = [*TUNED, f"tuned.part={part}", *ONE]
    same(cuda, noise, vectors[1], tmp_path, settings, {"backbone": tmp_path / "hubert"})


JOINT: dict[str, list[str]] = {
    "combined": ["model.branches=[audio, words]"],
    "asr_ser": ["model.branches=[audio, decoder_states]"],
    "asr_ser_frozen": ["model.branches=[audio, decoder_states]", "joint.train_recogniser=false"],
    "asr_ser_own": ["model.branches=[audio, decoder_states]", "states.train=hypothesis"],
}


@pytest.mark.parametrize("name", JOINT)
def test_joint(cuda: "FakeCuda", told_little: Any, tmp_path: Path, name: str) -> None:
    given = {"recogniser": told_little.recogniser, "transcripts": told_little.transcripts}
    same(cuda, told_little.cuts, told_little.folds, tmp_path, [*S4, *JOINT[name], *ONE], given)


def test_no_kind_is_left_out() -> None:
    """A new kind of system has a place among what is tried above."""
    tried = [*FRAMES.values(), *VECTORS.values(), SMALL, TUNED, S4]
    assert {settings[0].partition("=")[2] for settings in tried} == set(KINDS)


def waits(cuda: "FakeCuda", cuts: Path, folds_place: Path, settings: list[str]) -> dict[str, int]:
    """How often one update waits for the device, by kind, once everything is there."""
    folds = read_folds(folds_place)
    fold = folds.folds[0]
    system, _ = load_system(overrides=settings)(RunId(fold.name, 1))
    experiment = Experiment(load_system(overrides=settings), folds, folds_place, (cuts,))
    with cuda:
        found = system.read([cuts], experiment.labels(experiment.folds.folds[0]))
        train, dev = ([found[name] for name in part] for part in (fold.train, fold.dev))
        task = system.task(folds.target, train, dev, seed=1, device="cuda:0", group=SINGLE)  # type: ignore[attr-defined]
        optimizer = make_optimizer(task.model, system.training)  # type: ignore[attr-defined]
        task.model.train()
        for batch in [next(iter(task.batches(1, 0)))] * 2:
            with cuda.counting() as counted:
                task.before_step(0.5)
                optimizer.zero_grad(set_to_none=True)
                task.loss(batch)[0].backward()
                torch.nn.utils.clip_grad_norm_(task.model.parameters(), 5.0)
                optimizer.step()
                task.after_step(4)
    by_kind: dict[str, int] = {}
    for (kind, _), count in counted.items():
        by_kind[kind] = by_kind.get(kind, 0) + count
    return by_kind


WAITS: dict[str, dict[str, int]] = {
    "features_head": {"read": 1},
    "tdnn": {"download": 2, "upload": 1, "read": 1},
    "cnn14": {"read": 1},
    "layers_head": {"read": 1},
    "speech_text": {"upload": 5, "download": 3},
}


@pytest.mark.parametrize("name", WAITS)
def test_waits_of_a_step(
    cuda: "FakeCuda", tiny_corpus: tuple[Path, Path], vectors: tuple[Path, Path, Path], name: str
) -> None:
    place = tiny_corpus if name in FRAMES else vectors[:2]
    assert waits(cuda, *place, {**FRAMES, **VECTORS}[name]) == WAITS[name]
