"""Systems on stored features, applied to audio: the numbers of their prediction tables, and what cannot be applied."""

import csv
import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from lhotse import CutSet, MonoCut, Recording, SupervisionSegment
from quick_programs import Program
from tiny_models import tiny_bert, tiny_speech
from untrained_recogniser import save_untrained_a2w

from sertools.__main__ import main
from sertools.emotion.experiment import Experiment, train_run
from sertools.emotion.features_head.system import HeadSystem
from sertools.emotion.kinds import load_system
from sertools.errors import UserError
from sertools.features.frames.logmel import Logmel, LogmelConfig
from sertools.features.kind import Given
from sertools.features.pipeline import collect_features, compute_features, features_config
from sertools.partitions.examples import Example
from sertools.partitions.folds import Folds, write_folds
from sertools.partitions.making import FoldsConfig, make_folds
from sertools.partitions.target import Target
from sertools.prediction.apply import Failure, Prediction, load_emotion
from sertools.prediction.audio import array_source, find_sources
from sertools.prediction.course import CourseConfig
from sertools.prediction.export import export_member
from sertools.runs.predictions import read_predictions

ROOT = Path(__file__).parents[2]
RATE = 16000
CLASSES = ("angry", "sad")
LOOP = ("training.epochs=1",)


@dataclass(frozen=True)
class Corpus:
    """Audio, its cuts, and folds of emotion."""

    folder: Path
    cuts: Path
    folds: Folds

    def features(self, name: str, cuts: Path | None = None, backbone: Path | None = None, **values: Any) -> Path:
        """Cuts with features of one block."""
        config = features_config(values, name)
        given = Given({"backbone": backbone}) if backbone else None
        output = self.folder / name
        compute_features(cuts or self.cuts, output, config, given)
        collect_features(cuts or self.cuts, output, config, given)
        return output / "cuts.jsonl.gz"

    def train(self, *settings: str, cuts: tuple[Path, ...], name: str = "exp", **given: Path) -> Path:
        """A run of the first fold."""
        systems = load_system(overrides=list(settings), given=given)
        return train_run(Experiment(systems, self.folds, self.folder / name, cuts), self.folds.folds[0].name, 1)

    def check(self, run: Path, manifest: bool = False, **given: Path) -> None:
        """Every utterance of the table as from its audio alone."""
        table = read_predictions(run / "predictions.csv").select(part="test")
        model = load_emotion(run, calibrated=False, given=given)
        names = [str(self.cuts)] if manifest else [str(self.folder / f"{name}.wav") for name in table.utterances]
        found = {Path(p.name).stem: p for p in model.predict_all(find_sources(names, None, speaker=None)[:32])}  # type: ignore[arg-type]
        for name, expected in zip(table.utterances, table.probabilities, strict=True):
            one = found[name]
            assert isinstance(one, Prediction), one
            assert one.probabilities == pytest.approx(list(expected), abs=1e-4)
        assert np.abs(table.probabilities - table.probabilities.mean(0)).max() > 1e-3, "must be able to fail"
        if torch.__version__ >= "2":
            self.check_on_cuda(run, names[:1], found, given)

    def check_on_cuda(
        self, run: Path, names: list[str], expected: Mapping[str, Any], given: Mapping[str, Path]
    ) -> None:
        """On the fake device features and networks say what they say on the CPU."""
        from fake_cuda import FakeCuda

        with FakeCuda() as device, device.counting() as waits:
            model = load_emotion(run, calibrated=False, given=given, device="cuda:0")
            (one,) = model.predict_all(find_sources(names, None, speaker=None)[:1])  # type: ignore[arg-type]
        assert isinstance(one, Prediction), one
        assert one.probabilities == pytest.approx(list(expected[Path(one.name).stem].probabilities), abs=1e-4)
        assert waits or "svm" in run.parts, "all but the SVM compute there"


def exported(run: Path, name: str, **given: Path) -> dict[str, Any]:
    """What is written of a run that was exported as TorchScript, and as ONNX where that can be written and run."""
    export_member(run, run / f"{name}.pt", given=given)
    about: dict[str, Any] = json.loads((run / f"{name}.json").read_text())
    assert about["largest_difference"] < 1e-5
    if importlib.util.find_spec("onnxruntime") and importlib.util.find_spec("onnx"):
        assert (export_member(run, run / f"{name}.onnx", given=given).difference or 0) < 1e-5
    return about


def exported_uncalibrated(run: Path, backbone: Path) -> Path:
    export_member(run, run / "plain.pt", calibrated=False, given={"backbone": backbone})
    return run / "plain.pt"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """16 utterances by 4 speakers of 4 sessions."""
    folder = tmp_path_factory.mktemp("audio")
    cuts, examples = [], []
    for number in range(16):
        speaker, label, name = number % 4, (number // 4) % 2, f"utt{number:02d}"
        x = np.random.default_rng(number).normal(0, 0.1, round((0.4 + 0.02 * number) * RATE))
        x = np.convolve(x, [1.0, 0.9 if label else -0.9], "same")
        soundfile.write(folder / f"{name}.wav", x, RATE)
        recording = Recording.from_file(folder / f"{name}.wav")
        told = SupervisionSegment(name, name, 0.0, recording.duration, speaker=f"spk{speaker}", gender="female",
                                  text=("the dog runs", "don't run fast")[label] if number else "the dog",
                                  custom={"corpus": "noise", "emotion": CLASSES[label]})  # fmt: skip
        cuts.append(MonoCut(name, 0.0, recording.duration, 0, [told], recording=recording))
        examples.append(Example(name, f"spk{speaker}", f"Session{speaker + 1}", CLASSES[label]))
    CutSet.from_cuts(cuts).to_file(folder / "cuts.jsonl.gz")
    folds = make_folds(FoldsConfig(class_set="two", protocol="strict"), examples, corpus="noise", classes=CLASSES)
    return Corpus(folder, folder / "cuts.jsonl.gz", folds)


def test_head_on_frames(corpus: Corpus) -> None:
    cuts = corpus.features("mfcc", mfcc={"sampling_rate": 8000, "num_ceps": 6, "num_mel_bins": 8, "high_freq": 0})
    settings = ("system=features_head", "head_dim=4", *LOOP)
    run = corpus.train(*settings, cuts=(cuts,), name="head")
    corpus.check(run)
    with pytest.raises(UserError, match="--input backbone"):
        load_emotion(run, given={"backbone": corpus.folder})
    speakers = corpus.train(*settings, "data.normalise=speaker", cuts=(cuts,), name="speakers")
    table = read_predictions(speakers / "predictions.csv")
    model = load_emotion(speakers, calibrated=False)
    found = {p.name: p for p in model.predict_all(find_sources([str(corpus.cuts)], None))}  # type: ignore[arg-type]
    for name, expected in zip(table.utterances, table.probabilities, strict=True):
        one = found[name]
        assert isinstance(one, Prediction)
        assert one.probabilities == pytest.approx(list(expected), abs=1e-3)


def test_numbers(corpus: Corpus, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a kind on stored features and of the TDNN-F, which computes pieces: values of the table, and words of them."""
    labels = {name: 1.0 + int(name[3:]) / 4 for name in corpus.folds.labels}
    target = Target("arousal", "number", low=1.0, high=5.0)
    numbers = replace(corpus, folds=replace(corpus.folds, target=target, labels=labels))  # type: ignore[arg-type]
    cuts = corpus.features("mfcc6", mfcc={"sampling_rate": 8000, "num_ceps": 6, "num_mel_bins": 8, "high_freq": 0})
    trunk = "model.trunk={feature_dim: 6, hidden_dim: 8, bottleneck_dim: 4, prefinal_dim: 4, strides: [0, 3]}"
    tdnn = (trunk, "model.layers=[prefinal]", "model.head_dim=4")
    for name, settings in (("head", ("system=features_head", "head_dim=4")), ("tdnn", tdnn)):
        run = numbers.train(
            *settings, "training.epochs=1", "training.select_by=dev_ccc", cuts=(cuts,), name=f"n_{name}"
        )
        table = read_predictions(run / "predictions.csv").select(part="test")
        model = load_emotion(run)
        files = [str(corpus.folder / f"{utterance}.wav") for utterance in table.utterances]
        found = {Path(p.name).stem: p for p in model.predict_all(files)}
        for utterance, expected in zip(table.utterances, table.outputs, strict=True):
            one = found[utterance]
            assert isinstance(one, Prediction), one
            assert one.outputs == pytest.approx([expected], abs=1e-4)
        assert np.ptp(table.outputs) > 1e-3, "must be able to fail"
        out = corpus.folder / f"{name}.csv"
        arguments = ["--csv", str(out), "--srt", str(corpus.folder), "--textgrid", str(corpus.folder)]
        plot = ["--plot", str(corpus.folder)]
        assert main(["predict", "--experiment", str(run), *arguments, *plot, files[0]]) == 0
        assert "arousal" in capsys.readouterr().out
        (row,) = csv.DictReader(out.open())
        assert float(row["prediction"]) == pytest.approx(table.outputs[0], abs=1e-4)
        assert 'name = "arousal"' in (corpus.folder / f"{table.utterances[0]}.TextGrid").read_text()


def check_files(corpus: Corpus, run: Path) -> None:
    """Windows of a recording, with words, in files of all kinds."""
    recogniser, out = corpus.folder / "recogniser", corpus.folder / "out"
    save_untrained_a2w(recogniser, ROOT / "egs/common/conf/features/fbank.yaml")
    soundfile.write(corpus.folder / "long.flac", np.random.default_rng(9).normal(0, 0.1, 2 * RATE), RATE)
    arguments = ["predict", "--experiment", str(run), "--quiet", "--speech", "windows", "--window", "1"]
    arguments += ["--recogniser", str(recogniser), "--srt", str(out), "--textgrid", str(out),
                  "--csv", str(out / "a.csv"), "--json", str(out / "a.json")]  # fmt: skip
    arguments.append(str(corpus.folder / "long.flac"))
    assert main(arguments) == 0
    rows = list(csv.DictReader((out / "a.csv").open()))
    assert [(row["start"], row["end"]) for row in rows] == [("0.000", "1.000"), ("1.000", "2.000")]
    assert all(row["words"] for row in rows)
    told = json.loads((out / "a.json").read_text())["utterances"]
    assert [one["words"] for one in told] == [row["words"] for row in rows]
    assert rows[1]["words"] in (out / "long.srt").read_text()
    assert 'name = "words"' in (out / "long.TextGrid").read_text()


def check_export(corpus: Corpus, run: Path) -> None:
    """What other programs get of a Cnn14."""
    suffixes = ["pt", *(["onnx"] if importlib.util.find_spec("onnxruntime") else [])]
    for suffix in suffixes:
        exported = export_member(run, corpus.folder / f"cnn14.{suffix}")
        assert exported.difference is not None
        assert exported.difference < 1e-5
    told = json.loads((corpus.folder / "cnn14.json").read_text())
    assert told["fewest_frames"] == 20
    assert told["logmel"]["window"] == 400
    network = torch.jit.load(str(corpus.folder / "cnn14.pt"))
    samples = np.random.default_rng(2).normal(0, 0.1, RATE).astype(np.float32)
    logmel = Logmel(LogmelConfig(num_mel_bins=8, window=400))(torch.from_numpy(samples))
    expected = load_emotion(run).predict(array_source(samples, RATE)).probabilities
    assert network(logmel[None])[0].tolist() == pytest.approx(list(expected), abs=1e-5)


def test_course_is_of_windows(corpus: Corpus) -> None:
    cuts = corpus.features("logmel", logmel={"num_mel_bins": 8, "window": 400})
    run = corpus.train("system=cnn14", "model.num_mel_bins=8", "model.width=2", "model.blocks=2", "data.crop_frames=20",
                       *LOOP, cuts=(cuts,), name="cnn14")  # fmt: skip
    corpus.check(run)
    model = load_emotion(run, calibrated=False)
    samples = np.random.default_rng(5).normal(0, 0.1, 3 * RATE).astype(np.float32)
    whole = model.predict(array_source(samples, RATE), CourseConfig(1.0, 0.5))
    assert whole.course is not None
    assert whole.course.times == pytest.approx([0.5, 1.0, 1.5, 2.0, 2.5])
    alone = model.predict(array_source(samples[RATE : 2 * RATE], RATE))
    assert list(whole.course.outputs[2]) == pytest.approx(list(alone.probabilities), abs=1e-5)
    check_files(corpus, run)
    check_export(corpus, run)
    short = next(model.predict_all([array_source(samples[:100], RATE)]))
    assert isinstance(short, Failure)
    assert "too short" in short.reason
    assert "/" not in short.reason


@pytest.mark.skipif(importlib.util.find_spec("opensmile") is None, reason="opensmile is not installed")
def test_functionals(corpus: Corpus) -> None:
    cuts = corpus.features("functionals", functionals={})
    corpus.check(corpus.train("system=svm", "costs=[1.0]", cuts=(cuts,), name="svm"))
    small = ("model.hidden=[5, 4]", "training.epochs=2", "model.dropout=0.0", "model.activation=relu")
    source = corpus.train("system=progressive", *small, cuts=(cuts,), name="source")
    corpus.check(source)
    settings = ("system=progressive", "method=progressive", "sources=[one]", "random_sources=1")
    run = corpus.train(*settings, *small, cuts=(cuts,), name="progressive", one=source / "checkpoint")
    (source / "checkpoint").rename(source / "gone")
    corpus.check(run)  # the frozen columns are in it


@pytest.mark.transformers
def test_pretrained_models(corpus: Corpus) -> None:
    speech, text = corpus.folder / "hubert", corpus.folder / "bert"
    tiny_speech(speech, "Hubert")
    tiny_bert(text)
    statistics = corpus.features("statistics", backbone=speech, ssl={"layers": [1, 2]})
    run = corpus.train("system=layers_head", "model.head_dim=4", *LOOP, cuts=(statistics,), name="layers")
    corpus.check(run, backbone=speech)
    with pytest.raises(UserError, match=r"reads ssl features, .* hubert is needed: give --input backbone=PATH"):
        load_emotion(run)
    with pytest.raises(UserError, match="does not exist"):
        load_emotion(run, given={"backbone": corpus.folder / "nowhere"})
    tiny_speech(corpus.folder / "other", "Hubert", seed=2)
    with pytest.raises(UserError, match="of another model"):
        load_emotion(run, given={"backbone": corpus.folder / "other"})
    about = exported(run, "layers", backbone=speech)
    assert about["inputs"] == {"waveform": "[1, samples]"}
    assert (about["classes"], about["sampling_rate"]) == (list(CLASSES), RATE)
    # what is in the file says of a recording what the table says
    table = read_predictions(run / "predictions.csv").select(part="test")
    samples = torch.from_numpy(soundfile.read(corpus.folder / f"{table.utterances[0]}.wav", dtype="float32")[0])
    network = torch.jit.load(str(exported_uncalibrated(run, speech)))
    assert network(samples[None])[0].tolist() == pytest.approx(list(table.probabilities[0]), abs=1e-4)

    frames = corpus.features("frames", backbone=speech, ssl={"layers": [2], "statistics": False})
    words = corpus.features("words", backbone=text, text={"layers": [3]})
    settings = ("system=speech_text", "model.layers=[0]", "words=text:0", "model.hidden_dim=3", "model.head_dim=4")
    run = corpus.train(*settings, *LOOP, cuts=(frames, words), name="speech_text")
    corpus.check(run, manifest=True, **{"backbone": speech, "text.backbone": text})
    model = load_emotion(run, given={"backbone": speech, "text.backbone": text})
    silent = next(model.predict_all([corpus.folder / "utt00.wav"]))
    assert isinstance(silent, Failure)
    assert "no words" in silent.reason
    about = exported(run, "words", **{"backbone": speech, "text.backbone": text})
    assert about["inputs"] == {"speech": "[1, frames, 16]", "words": "[1, words, 16]"}

    run = corpus.train("system=finetune_ssl", "head.head_dim=4", *LOOP, cuts=(corpus.cuts,), name="tuned",
                       backbone=speech)  # fmt: skip
    corpus.check(run, backbone=speech)
    with pytest.raises(UserError, match="--input backbone=PATH"):
        load_emotion(run)
    exported(run, "tuned", backbone=speech)


def test_degraded_speech_and_speed(
    corpus: Corpus, program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What noise costs a trained system: clean speech is what its own table says; noise that drowns all is chance."""
    cuts = corpus.features("mfcc", mfcc={"sampling_rate": 8000, "num_ceps": 6, "num_mel_bins": 8, "high_freq": 0})
    rates = ("training.learning_rate=0.05", "training.final_learning_rate=0.01", "training.epochs=20")
    monkeypatch.setattr(HeadSystem, "remarks", lambda *_: ["I-VECTORS REMEMBER SPEAKERS"])
    systems = load_system(overrides=["system=features_head", "head_dim=0", *rates])
    experiment = Experiment(systems, corpus.folds, tmp_path / "exp", (cuts,))
    tables = [read_predictions(train_run(experiment, f.name, 1) / "predictions.csv") for f in corpus.folds.folds]
    write_folds(tmp_path / "folds", corpus.folds)
    common = ["--cuts", str(corpus.cuts), str(experiment.directory)]
    for name, options in (
        ("measure_robustness.py", ["--folds", str(tmp_path / "folds"), "--snr", "-20", "--band", "300-3400",
                                   "--output", str(tmp_path / "out")]),
        ("measure_speed.py", ["--utterances", "3"]),
    ):  # fmt: skip
        done = program(name, *options, *common)
        assert done.returncode == 0, done.stderr
    found = {path.parts[-4]: 0.0 for path in (tmp_path / "out").glob("*/*/*/predictions.csv")}
    assert set(found) == {"clean", "noise_-20dB", "band_300-3400Hz"}
    for condition in found:
        rows = read_predictions(sorted((tmp_path / "out" / condition).glob("*/*/predictions.csv")))
        found[condition] = float((rows.recognised == rows.labels).mean())
    own = [(t.recognised == t.labels)[t.parts == "test"].mean() for t in tables]
    assert found["clean"] == pytest.approx(np.mean(own))
    assert found["noise_-20dB"] <= 0.75 <= found["clean"]
    assert (tmp_path / "out/curve.png").exists()
    assert "noise_-20dB" in (tmp_path / "out/comparison.txt").read_text()
    assert "I-VECTORS REMEMBER SPEAKERS" in (tmp_path / "out/comparison.txt").read_text()
    assert 0 < json.loads((experiment.directory / "speed.json").read_text())["real_time_factor"] < 10
