"""Trained systems of S4 on audio: the experiment's own numbers, words beside them, and what audio is not enough for."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from lhotse import CutSet, MonoCut, Recording, SupervisionSegment

from sertools.__main__ import main
from sertools.config import from_dict
from sertools.decoding.transcripts import read_transcripts
from sertools.emotion.experiment import Experiment, always, train_run
from sertools.emotion.inputs import Inputs
from sertools.emotion.joint_asr.config import S4Config
from sertools.emotion.kinds import SystemMaker, find_kind
from sertools.emotion.system import RunId
from sertools.errors import UserError
from sertools.features.frames.fbank import FbankConfig
from sertools.features.pipeline import FeaturesConfig, collect_features, compute_features
from sertools.features.store import StoreConfig
from sertools.partitions.examples import Example
from sertools.partitions.folds import Folds
from sertools.partitions.making import FoldsConfig, make_folds
from sertools.prediction.apply import Prediction, load_emotion
from sertools.prediction.audio import array_source
from sertools.prediction.course import CourseConfig
from sertools.prediction.export import export_member
from sertools.runs.predictions import read_predictions

RATE = 8000
SETTINGS: dict[str, Any] = {
    "system": "s4",
    "model": {"feature_dim": 6, "word_dim": 5, "lstm_dim": 6, "heads": 2, "attention_dim": 8, "hidden_dim": 16},
    "data": {"batch_size": 5, "max_frames": 20},
    "states": {"search": {"beam": 2, "max_tokens": 6}},
    "training": {"epochs": 1, "learning_rate": 5e-3, "final_learning_rate": 2e-3, "warmup": 0.0},
}


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Folds]:
    """Audio of 24 utterances by 6 speakers, their cuts with 6 filters, and folds."""
    directory = tmp_path_factory.mktemp("spoken")
    cuts, examples = [], []
    for number in range(24):
        speaker, label, name = number % 6, (number // 6) % 2, f"utt{number:02d}"
        x = np.random.default_rng(number).normal(0, 0.1, RATE // 4 + 40 * number)
        x = np.convolve(x, [1.0, 0.9 if label else -0.9], "same")
        (directory / "audio").mkdir(exist_ok=True)
        soundfile.write(directory / "audio" / f"{name}.wav", x.astype(np.float32), RATE)
        recording = Recording.from_file(directory / "audio" / f"{name}.wav")
        supervision = SupervisionSegment(name, name, 0.0, recording.duration, speaker=f"spk{speaker}",
                                         text="no tree", custom={"corpus": "noise"})  # fmt: skip
        cuts.append(MonoCut(name, 0.0, recording.duration, 0, [supervision], recording=recording))
        examples.append(Example(name, f"spk{speaker}", f"Session{speaker // 2 + 1}", ("angry", "sad")[label]))
    CutSet.from_cuts(cuts).to_file(directory / "cuts.jsonl.gz")
    fbank = FeaturesConfig(FbankConfig(sampling_rate=RATE, num_mel_bins=6, high_freq=0), StoreConfig(tick_power=-16))
    compute_features(directory / "cuts.jsonl.gz", directory / "fbank", fbank)
    collect_features(directory / "cuts.jsonl.gz", directory / "fbank", fbank)
    folds = make_folds(
        FoldsConfig(class_set="two", protocol="strict"), examples, corpus="noise", classes=("angry", "sad")
    )
    return directory / "audio", directory / "fbank" / "cuts.jsonl.gz", folds


def trained(told: Any, spoken: tuple[Path, Path, Folds], out: Path, **changes: Any) -> Path:
    """One run."""
    values = {**SETTINGS, **{k: {**SETTINGS.get(k, {}), **v} for k, v in changes.items()}}
    kind, given = find_kind("s4"), {"recogniser": told.recogniser}
    config = from_dict(S4Config, values)
    system, _ = SystemMaker(kind, config, given)(RunId("Session1", 1))
    inputs = Inputs.of(kind.needs(config), given, RunId("Session1", 1))
    experiment = Experiment(always(system, inputs), spoken[2], out, spoken[1:2])
    return train_run(experiment, "Session1", 1)


@pytest.mark.parametrize("name", ["audio", "learns", "stays"])
def test_gives_the_numbers_of_the_experiment(
    told: Any, spoken: tuple[Path, Path, Folds], tmp_path: Path, name: str
) -> None:
    branches = ["audio"] if name == "audio" else ["audio", "decoder_states"]
    run = trained(told, spoken, tmp_path, model={"branches": branches}, joint={"train_recogniser": name == "learns"})
    table = read_predictions(run / "predictions.csv")
    model = load_emotion(run, calibrated=False)
    found = list(model.predict_all([spoken[0] / f"{u}.wav" for u in table.utterances]))
    assert all(isinstance(one, Prediction) for one in found)
    ours = np.array([one.probabilities for one in found])  # type: ignore[union-attr]
    assert np.abs(ours - table.outputs).max() < 1e-4
    assert np.ptp(table.outputs[:, 0]) > 1e-3, "the comparison must be able to fail"
    if name == "audio":
        assert found[0].words is None  # type: ignore[union-attr]
        return
    rows = {
        one.id: one for one in read_transcripts(run / f"transcripts_{'after' if name == 'learns' else 'before'}.csv")
    }
    words = {u: one.words for u, one in zip(table.utterances.tolist(), found, strict=True)}  # type: ignore[union-attr]
    assert words == {u: rows[u].hypothesis for u in words}
    (tmp_path / "recogniser").rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="copy the whole experiment with its folder 'recogniser'"):
        load_emotion(run)


def test_by_command(
    told: Any, spoken: tuple[Path, Path, Folds], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = trained(told, spoken, tmp_path, model={"branches": ["audio", "decoder_states"]})
    clip = spoken[2].folds[0].train[0]
    assert main(["predict", "--experiment", str(run), str(spoken[0] / f"{clip}.wav")]) == 0
    printed = capsys.readouterr()
    assert "  heard: " in printed.out
    assert "has the name of an utterance that trained 1 of 1 members" in printed.err
    assert main(["predict", "--experiment", str(run), str(spoken[0] / f"{spoken[2].folds[0].test[0]}.wav")]) == 0
    assert "has the name" not in capsys.readouterr().err
    model = load_emotion(run)
    with pytest.raises(UserError, match="there is no course"):
        model.predict(spoken[0] / f"{clip}.wav", CourseConfig())
    with pytest.raises(UserError, match="is longer than 120 s, more"):
        model.predict(array_source(np.random.default_rng(0).normal(0, 0.1, 121 * RATE).astype(np.float32), RATE))
    with pytest.raises(UserError, match="cannot be exported"):
        export_member(run, tmp_path / "net.pt")


def test_audio_is_not_enough(told: Any, spoken: tuple[Path, Path, Folds], tmp_path: Path) -> None:
    run = trained(told, spoken, tmp_path, model={"branches": ["words"]}, words={"min_count": 1})
    with pytest.raises(UserError, match=r"is told what was said \(words\), so audio alone is not .*predictions\.csv"):
        load_emotion(run)
