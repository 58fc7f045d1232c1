"""A trained experiment applied to audio: the experiment's own numbers, any audio, and errors with names."""

import dataclasses
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from lhotse import CutSet, MonoCut, Recording, SupervisionSegment

from sertools.__main__ import main
from sertools.emotion.experiment import Experiment, always, train_run
from sertools.emotion.inputs import Inputs, Need
from sertools.emotion.tdnn.config import DataConfig, EmotionConfig, TransferConfig
from sertools.emotion.tdnn.pretrained import Pretrained
from sertools.emotion.tdnn.system import make_system
from sertools.errors import UserError
from sertools.evaluation.stats.calibration import apply_temperature
from sertools.features.frames.mfcc import MfccConfig
from sertools.features.pipeline import FeaturesConfig, collect_features, compute_features
from sertools.features.store import StoreConfig
from sertools.models.emotion import EmotionModelConfig
from sertools.models.tdnnf import TdnnfConfig
from sertools.partitions.examples import Example
from sertools.partitions.folds import Folds
from sertools.partitions.making import FoldsConfig, make_folds
from sertools.prediction.apply import EmotionModel, Failure, Prediction, load_emotion
from sertools.prediction.audio import array_source, file_source, find_sources, stream_source
from sertools.prediction.course import CourseConfig
from sertools.runs.predictions import read_predictions
from sertools.training.loop import TrainingConfig

RATE = 8000
TRUNK = TdnnfConfig(feature_dim=13, hidden_dim=16, bottleneck_dim=8, prefinal_dim=8, strides=(0, 1, 3))
CLASSES = ("angry", "sad")
FINE = StoreConfig(tick_power=-16)


@dataclasses.dataclass(frozen=True)
class Corpus:
    """Audio, its cuts with features, and folds."""

    audio: Path
    cuts: Path
    folds: Folds

    def train(self, out: Path, pooling: str = "statistics", normalise: str = "none", seeds: int = 1) -> Path:
        config = EmotionConfig(
            model=EmotionModelConfig(TRUNK, ("tdnnf2", "tdnnf3"), pooling, 8),  # type: ignore[arg-type]
            data=DataConfig(batch_frames=600, normalise=normalise),  # type: ignore[arg-type]
            training=TrainingConfig(epochs=2, learning_rate=1e-2, final_learning_rate=1e-3),
        )
        for fold in self.folds.folds[:2]:
            for seed in range(1, seeds + 1):
                train_run(Experiment(always(make_system(config)), self.folds, out, (self.cuts,)), fold.name, seed)
        return out


def given(name: str, path: Path) -> Inputs:
    """One input, of which a copy is kept."""
    return Inputs((Need(name, "a network", "another stage", kept=True),), {name: path}, {name: path})


def noise(seconds: float, label: int, seed: int, rate: int = RATE) -> np.ndarray:
    """Noise that is rougher for one class, with a trace of stillness."""
    x = np.random.default_rng(seed).normal(0, 0.1, round(seconds * rate))
    x = np.convolve(x, [1.0, 0.9 if label else -0.9], "same") * np.linspace(0.1, 1, len(x))
    return x.astype(np.float32)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """32 utterances by 8 speakers of 4 sessions."""
    directory = tmp_path_factory.mktemp("corpus")
    cuts, examples = [], []
    for number in range(32):
        speaker, label, name = number % 8, (number // 8) % 2, f"utt{number:02d}"
        path = directory / "audio" / f"{name}.wav"
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, noise(0.4 + 0.013 * number, label, number), RATE)
        recording = Recording.from_file(path)
        supervision = SupervisionSegment(name, name, 0.0, recording.duration, speaker=f"spk{speaker}",
                                         custom={"corpus": "noise", "emotion": CLASSES[label]})  # fmt: skip
        cuts.append(MonoCut(name, 0.0, recording.duration, 0, [supervision], recording=recording))
        examples.append(Example(name, f"spk{speaker}", f"Session{speaker // 2 + 1}", CLASSES[label]))
    CutSet.from_cuts(cuts).to_file(directory / "cuts.jsonl.gz")
    # kept finely, so that what differs is not what lilcom rounds
    mfcc = FeaturesConfig(MfccConfig(sampling_rate=RATE, num_mel_bins=23, num_ceps=13, high_freq=0), FINE)
    compute_features(directory / "cuts.jsonl.gz", directory / "mfcc", mfcc)
    collect_features(directory / "cuts.jsonl.gz", directory / "mfcc", mfcc)
    folds = make_folds(FoldsConfig(class_set="two", protocol="strict"), examples, corpus="noise", classes=CLASSES)
    return Corpus(directory / "audio", directory / "mfcc" / "cuts.jsonl.gz", folds)


@pytest.fixture(scope="module", params=["statistics", "dynamics", "frames"])
def experiment(request: pytest.FixtureRequest, corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two folds of a whole network."""
    return corpus.train(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="module")
def pooled(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two folds, two seeds."""
    return corpus.train(tmp_path_factory.mktemp("pooled"), seeds=2)


def all_of(model: EmotionModel, corpus: Corpus) -> dict[str, tuple[float, ...]]:
    cuts = CutSet.from_file(corpus.cuts).to_eager()
    sources = [file_source(corpus.audio / f"{c.id}.wav", speaker=c.supervisions[0].speaker) for c in cuts]
    found = [p for p in model.predict_all(sources) if isinstance(p, Prediction)]
    assert len(found) == 32
    return {Path(p.name).stem: p.probabilities for p in found}


def test_gives_the_numbers_of_the_experiment(experiment: Path, corpus: Corpus) -> None:
    run = experiment / "fold_Session1" / "seed_1"
    table = read_predictions(run / "predictions.csv")
    found = all_of(load_emotion(run, calibrated=False), corpus)
    ours = np.array([found[name] for name in table.utterances])
    assert np.abs(ours - table.probabilities).max() < 1e-4
    assert np.abs(ours - table.probabilities.mean(0)).max() > 0.01, "the comparison must be able to fail"


@pytest.mark.parametrize("pooling", ["frames", "statistics"])
def test_normalised_by_speaker(corpus: Corpus, tmp_path: Path, pooling: str) -> None:
    experiment = corpus.train(tmp_path / "exp", pooling, "speaker")
    run = experiment / "fold_Session1" / "seed_1"
    model = load_emotion(run, calibrated=False)
    table = read_predictions(run / "predictions.csv")
    found = all_of(model, corpus)
    assert np.abs(np.array([found[name] for name in table.utterances]) - table.probabilities).max() < 1e-3
    wav = corpus.audio / "utt00.wav"
    with pytest.raises(UserError, match="use predict_all with at least 2"):
        model.predict(wav)
    with pytest.raises(UserError, match=r"speaker of .*utt00\.wav is not known"):
        model.predict_all([wav])
    (alone,) = model.predict_all([file_source(wav, speaker="a")])
    assert isinstance(alone, Failure)
    assert "at least 2 are needed" in alone.reason
    both = list(model.predict_all([file_source(corpus.audio / f"utt0{i}.wav", speaker="a") for i in (0, 8)]))
    assert any("one of 2 utterances of its speaker" in note for p in both for note in p.notes)  # type: ignore[union-attr]


def bottlenecks(corpus: Corpus, directory: Path) -> tuple[Path, Pretrained]:
    """An acoustic model with random weights, and its bottlenecks of the corpus."""
    import torch

    from sertools.asr.lfmmi_system import AsrConfig, make_model
    from sertools.config import to_dict
    from sertools.emotion.tdnn.pretrained import load_pretrained
    from sertools.features.kind import Given
    from sertools.features.learned.bottlenecks import BottleneckConfig
    from sertools.lfmmi import Topology, TopologyConfig
    from sertools.models.asr import AcousticModelConfig
    from sertools.provenance import made_with
    from sertools.training.checkpoint import Checkpoint, save_checkpoint

    torch.manual_seed(0)
    config = AsrConfig(model=AcousticModelConfig(TRUNK, 16, 8))
    topology = TopologyConfig("chain", "mono")
    model = make_model(config, Topology(topology, 3).num_pdfs)
    model.trunk.set_input_statistics(torch.zeros(13), torch.full((13,), 10.0))
    info = {"phones": ["a", "b", "c"], "silence": 1, "topology": to_dict(topology), "features": made_with(corpus.cuts)}
    save_checkpoint(directory / "asr", Checkpoint(model.state_dict(), to_dict(config), info))
    stored, network = (
        FeaturesConfig(BottleneckConfig(("tdnnf2", "prefinal")), FINE),
        Given({"pretrained": directory / "asr"}),
    )
    compute_features(corpus.cuts, directory / "bn", stored, network)
    collect_features(corpus.cuts, directory / "bn", stored, network)
    return directory / "bn" / "cuts.jsonl.gz", load_pretrained(directory / "asr")


# a unit after a ReLU may always be 0, and then has no variance to be normalised by
@pytest.mark.parametrize(
    ("layers", "pooling", "normalise"),
    [
        (("tdnnf2", "prefinal"), "frames", "none"),
        (("prefinal",), "statistics", "speaker"),
        (("prefinal",), "dynamics", "speaker"),
    ],
)
def test_heads_on_bottlenecks_share_a_trunk(
    corpus: Corpus, tmp_path: Path, layers: tuple[str, ...], pooling: str, normalise: str
) -> None:
    cuts, pretrained = bottlenecks(corpus, tmp_path)
    config = EmotionConfig(
        model=EmotionModelConfig(TRUNK, layers, pooling, 0),  # type: ignore[arg-type]
        transfer=TransferConfig("pretrained", "head"),
        data=DataConfig(batch_frames=100, normalise=normalise),  # type: ignore[arg-type]
        training=TrainingConfig(epochs=2, learning_rate=1e-2, final_learning_rate=1e-3),
    )
    for fold in corpus.folds.folds[:2]:
        inputs = given("pretrained", pretrained.directory)
        experiment = Experiment(
            always(make_system(config, pretrained), inputs), corpus.folds, tmp_path / "exp", (cuts,)
        )
        train_run(experiment, fold.name, 1)
    model = load_emotion(tmp_path / "exp", calibrated=False)
    assert [len(branch.members) for branch in model.ensemble.system.branches] == [2]
    tables = [read_predictions(tmp_path / "exp" / name / "predictions.csv") for name in model.members]
    one = load_emotion(tmp_path / "exp" / model.members[0], calibrated=False)
    found = all_of(one, corpus)
    assert np.abs(np.array([found[n] for n in tables[0].utterances]) - tables[0].probabilities).max() < 2e-3
    weights = tmp_path / "exp" / "pretrained" / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(UserError, match=r"is not what .* was trained with"):
        load_emotion(tmp_path / "exp")
    shutil.move(str(tmp_path / "exp" / "pretrained"), tmp_path / "elsewhere")
    with pytest.raises(UserError, match="copy the whole experiment with its folder 'pretrained'"):
        load_emotion(tmp_path / "exp")


def make_extractor(directory: Path, cuts: Path) -> Path:
    """A random i-vector model for the corpus: 6 Gaussians, i-vectors of 3."""
    import torch

    from sertools.features.ivector.extractor import IvectorExtractor
    from sertools.features.ivector.frontend import CmvnConfig, Frontend
    from sertools.features.ivector.model import IvectorModel, feature_info, save_model
    from sertools.features.ivector.ubm import DiagonalUbm, PosteriorConfig

    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    frontend = Frontend(normal(13), 0.05 * normal(4, 39), normal(4), 1, CmvnConfig(20, 15, 10))
    ubm = DiagonalUbm(torch.full((6,), 1 / 6, dtype=torch.float64), normal(6, 4), normal(6, 4).square() + 0.5)
    precisions = torch.eye(4, dtype=torch.float64).expand(6, 4, 4).clone()
    extractor = IvectorExtractor(ubm.weights, normal(6, 4, 3), precisions, 7.0)
    info = feature_info(next(iter(CutSet.from_file(cuts))))
    save_model(directory, IvectorModel(frontend, ubm, extractor, PosteriorConfig(3, 0.025, 0.1), info), {}, {})
    return directory


def test_ivectors_are_of_the_utterance_alone(corpus: Corpus, tmp_path: Path) -> None:
    from sertools.features.ivector.config import IvectorConfig
    from sertools.features.ivector.extraction import ExtractionConfig
    from sertools.features.ivector.tracks import extract_ivectors

    extractor = make_extractor(tmp_path / "extractor", corpus.cuts)
    settings = IvectorConfig(extraction=ExtractionConfig(mode="utterance"), store=FINE)
    extract_ivectors(corpus.cuts, extractor, tmp_path / "ivectors", settings)
    trunk = dataclasses.replace(TRUNK, ivector_dim=3)
    config = EmotionConfig(
        model=EmotionModelConfig(trunk, ("tdnnf3",), head_dim=8),
        data=DataConfig(batch_frames=600),
        training=TrainingConfig(epochs=2, learning_rate=1e-2, final_learning_rate=1e-3),
    )
    cuts = tmp_path / "ivectors" / "cuts.jsonl.gz"
    systems = always(make_system(config), given("extractor", extractor))
    run = train_run(Experiment(systems, corpus.folds, tmp_path / "exp", (cuts,)), "Session1", 1)
    shutil.rmtree(extractor)  # the experiment keeps a copy
    table = read_predictions(run / "predictions.csv")
    found = all_of(load_emotion(run, calibrated=False), corpus)
    ours = np.array([found[name] for name in table.utterances])
    assert np.abs(ours - table.probabilities).max() < 1e-3
    shutil.rmtree(run.parents[1] / "extractor")
    with pytest.raises(UserError, match=r"takes i-vectors of the model in .*, which is not there"):
        load_emotion(run)


def test_members_are_calibrated_then_averaged(pooled: Path, corpus: Corpus) -> None:
    wav = corpus.audio / "utt03.wav"
    model = load_emotion(pooled, "all")
    assert model.members == tuple(f"fold_Session{i}/seed_{j}" for i in (1, 2) for j in (1, 2))
    assert load_emotion(pooled).members == ("fold_Session1/seed_1", "fold_Session2/seed_1")
    single = [load_emotion(pooled / name, calibrated=False).predict(wav).probabilities for name in model.members]
    expected = np.mean([apply_temperature([p], t)[0] for p, t in zip(single, model.temperatures, strict=True)], axis=0)  # type: ignore[arg-type]
    assert model.predict(wav).probabilities == pytest.approx(expected, abs=1e-9)


def test_says_of_what_it_was_trained_on(pooled: Path, corpus: Corpus, tmp_path: Path) -> None:
    fold = corpus.folds.folds[0]
    run = pooled / f"fold_{fold.name}" / "seed_1"
    shutil.copy(corpus.audio / f"{fold.train[0]}.wav", tmp_path / "another_name.wav")
    sources = [corpus.audio / f"{name}.wav" for name in (fold.train[0], fold.dev[0], fold.test[0])]
    found = list(load_emotion(run).predict_all([*sources, tmp_path / "another_name.wav"]))
    notes = [" ".join(one.notes) for one in found if isinstance(one, Prediction)]
    assert "has the name of an utterance that trained 1 of 1 members" in notes[0]
    assert not any("trained" in note for note in notes[1:])


def test_any_rate_channels_and_streams(pooled: Path, corpus: Corpus, tmp_path: Path) -> None:
    model = load_emotion(pooled)
    wave = noise(0.9, 1, 7, 48000)
    wave = np.convolve(wave, np.ones(12) / 3, "same").astype(np.float32)  # little above 2 kHz
    low = wave[::6]
    reference = model.predict(array_source(low, RATE))
    assert model.predict(array_source(wave, 48000)).probabilities == pytest.approx(reference.probabilities, abs=0.05)
    assert model.predict(array_source(wave, 48000)).duration == pytest.approx(0.9)
    other = np.stack([low, noise(len(low) / RATE, 0, 8)], 1)
    first = model.predict(array_source(other, RATE, channel=1)).probabilities
    assert first == pytest.approx(reference.probabilities, abs=1e-9)
    mean = model.predict(array_source(other.mean(1), RATE)).probabilities
    assert model.predict(array_source(other, RATE)).probabilities == pytest.approx(mean, abs=1e-6)
    with pytest.raises(UserError, match="has no channel 3; it has 2, counted from 1"):
        model.predict(array_source(other, RATE, channel=3))
    for suffix, tolerance in (("wav", 1e-3), ("flac", 1e-3), ("ogg", 0.2), ("mp3", 0.2)):
        soundfile.write(tmp_path / f"a.{suffix}", low, RATE)
        found = model.predict(tmp_path / f"a.{suffix}")
        assert found.probabilities == pytest.approx(reference.probabilities, abs=tolerance)
    stream = stream_source(io.BytesIO((tmp_path / "a.flac").read_bytes()))
    expected = model.predict(tmp_path / "a.flac").probabilities
    assert model.predict(stream).probabilities == expected
    assert model.predict(stream).probabilities == expected, "a stream is kept, and can be read again"
    odd = model.predict(array_source(low, 7919))
    assert "is sampled at 7919 Hz" in odd.notes[0]


def test_pieces_change_nothing(experiment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recording in pieces of 3 s is what it is as one."""
    from sertools.emotion.tdnn import recognition
    from sertools.prediction.pieces import Plan

    of, step = Plan.of, 0.03 if "frames" in experiment.name else 0.1

    def short(frame_shift: float, subsampling: int, context: float) -> Plan:
        return of(frame_shift, subsampling, context, length=3)

    model = load_emotion(experiment)
    wave = np.concatenate([noise(1.7, number % 2, number, 16000) for number in range(8)])
    source = array_source(wave, 16000)
    for config in (CourseConfig(), CourseConfig(window=0, step=0.05), CourseConfig(window=2.5, step=0.4)):
        whole = model.predict(source, config)
        with monkeypatch.context() as patch:
            patch.setattr(recognition.Plan, "of", staticmethod(short))
            parts = model.predict(source, config)
        assert parts.probabilities == pytest.approx(whole.probabilities, abs=1e-5)
        assert whole.course is not None
        assert parts.course is not None
        assert parts.course.times == pytest.approx(whole.course.times)
        assert np.abs(parts.course.outputs - whole.course.outputs).max() < 1e-4
        assert parts.course.envelope == pytest.approx(whole.course.envelope, abs=1e-6)
        assert len(whole.course.times) == pytest.approx(13.6 / (config.step or step), abs=1)


def test_a_window_says_what_an_utterance_says(experiment: Path, corpus: Corpus) -> None:
    model = load_emotion(experiment)
    short = model.predict(corpus.audio / "utt00.wav", CourseConfig(window=5.0))
    assert short.course is not None
    assert short.course.times.tolist() == [pytest.approx(0.2)]
    assert short.course.outputs[0] == pytest.approx(short.probabilities, abs=1e-5)
    long = model.predict(array_source(noise(31, 0, 1), RATE), CourseConfig())
    assert "31 s long" in long.notes[0]
    assert long.course is not None
    assert long.course.outputs.sum(1) == pytest.approx(1.0)


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A folder of files of which one is sound."""
    soundfile.write(tmp_path / "d_good.wav", noise(0.5, 0, 1), RATE)
    soundfile.write(tmp_path / "a_none.wav", np.zeros(0), RATE)
    soundfile.write(tmp_path / "b_short.wav", noise(0.02, 0, 1), RATE)
    soundfile.write(tmp_path / "c_still.wav", np.zeros(RATE), RATE)
    soundfile.write(tmp_path / "e_nan.wav", np.full(RATE, np.nan), RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "f_cut.wav", noise(1, 0, 1), RATE)
    content = (tmp_path / "f_cut.wav").read_bytes()
    (tmp_path / "f_cut.wav").write_bytes(content[: len(content) // 2])
    (tmp_path / "g_text.mp3").write_text("not audio at all")
    (tmp_path / "h_empty.flac").touch()
    soundfile.write(tmp_path / "i_cast.wav", 32768 * noise(0.5, 0, 1), RATE, subtype="FLOAT")
    (tmp_path / "notes.txt").write_text("ignored")
    return tmp_path


def test_broken_files_are_named_and_the_others_go_on(
    pooled: Path, broken: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["predict", "--experiment", str(pooled), str(broken), str(broken / "gone.wav")])
    out, err = capsys.readouterr()
    assert code == 1
    for words in (
        "a_none.wav has no samples", "b_short.wav is too short: 0.0200 s", "c_still.wav is silent",
        "e_nan.wav has samples that are not finite", "f_cut.wav is cut off", "g_text.mp3 cannot be read as audio",
        "h_empty.flac is empty", "i_cast.wav has samples of up to", "whole numbers written as floats",
        "gone.wav does not exist", "9 of 10 utterances could not be used",
    ):  # fmt: skip
        assert words in err
    assert len(out.splitlines()) == 2
    assert out.splitlines()[1].endswith("d_good.wav")


def test_program_writes_json_csv_and_pictures(
    pooled: Path, corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("one.wav", "more/two.wav"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(tmp_path / "in" / name, noise(1.3, 0, 1), RATE)
    common = ["predict", "--experiment", str(pooled), str(tmp_path / "in")]
    assert (
        main([*common, "--csv", str(tmp_path / "o.csv"), "--plot", str(tmp_path / "p"), "--json", "-", "--course"]) == 0
    )
    values = json.loads(capsys.readouterr().out)
    assert [u["utterance"] for u in values["utterances"]] == [
        str(tmp_path / "in" / n) for n in ("more/two.wav", "one.wav")
    ]
    assert values["classes"] == list(CLASSES)
    assert len(values["utterances"][0]["course"]["times"]) == 13
    assert values["members"][0]["run"] == "fold_Session1/seed_1"
    rows = (tmp_path / "o.csv").read_text().splitlines()
    assert rows[0] == "utterance,seconds,label,p_angry,p_sad"
    assert float(rows[1].split(",")[3]) == pytest.approx(values["utterances"][0]["probabilities"]["angry"])
    assert sorted(str(p.relative_to(tmp_path / "p")) for p in (tmp_path / "p").rglob("*.png")) == [
        "more/two.wav.png", "one.wav.png",
    ]  # fmt: skip
    assert main([*common, "--course"]) == 1
    assert "--course goes into --json" in capsys.readouterr().err


def test_manifests(pooled: Path, corpus: Corpus, tmp_path: Path) -> None:
    model = load_emotion(pooled)
    cuts = CutSet.from_file(corpus.cuts).to_eager().subset(first=3)
    cuts.to_file(tmp_path / "cuts.jsonl.gz")
    cuts.decompose()[0].to_file(tmp_path / "recordings.jsonl.gz")  # type: ignore[union-attr]
    expected = [model.predict(corpus.audio / f"utt0{i}.wav").probabilities for i in range(3)]
    for name in ("cuts.jsonl.gz", "recordings.jsonl.gz"):
        sources = find_sources([str(tmp_path / name)], io.BytesIO())
        found = [p.probabilities for p in model.predict_all(sources) if isinstance(p, Prediction)]
        assert found == [pytest.approx(p, abs=1e-6) for p in expected]
    assert [s.speaker for s in find_sources([str(tmp_path / "cuts.jsonl.gz")], io.BytesIO())] == [
        "spk0",
        "spk1",
        "spk2",
    ]
    (tmp_path / "bad.jsonl").write_text("{oh")
    with pytest.raises(UserError, match=r"bad.jsonl, line 1: not JSON .* made by Lhotse"):
        find_sources([str(tmp_path / "bad.jsonl")], io.BytesIO())
    (tmp_path / "none").mkdir()
    with pytest.raises(UserError, match="holds no audio files"):
        find_sources([str(tmp_path / "none")], io.BytesIO())


def remove_table(path: Path) -> None:
    (path / "fold_Session2" / "seed_1" / "predictions.csv").unlink()


def other_classes(path: Path) -> None:
    info = path / "fold_Session2" / "seed_1" / "checkpoint" / "info.json"
    info.write_text(info.read_text().replace("angry", "bored"))


def forget_features(path: Path) -> None:
    for info in path.glob("*/*/checkpoint/info.json"):
        info.write_text(json.dumps(json.loads(info.read_text()) | {"features": None}))


def damage(path: Path) -> None:
    weights = path / "fold_Session2" / "seed_1" / "checkpoint" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:500])


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (remove_table, "1 of 2 runs in .* are not finished: fold_Session2/seed_1"),
        (other_classes, "differ in target"),
        (forget_features, "does not say what MFCC"),
        (damage, "is damaged"),
    ],
)
def test_what_is_wrong_with_an_experiment(
    pooled: Path, tmp_path: Path, harm: Callable[[Path], None], words: str
) -> None:
    shutil.copytree(pooled, tmp_path / "exp")
    harm(tmp_path / "exp")
    with pytest.raises(UserError, match=words):
        load_emotion(tmp_path / "exp")


def test_no_such_runs(pooled: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist; it is made by the training stage"):
        load_emotion(tmp_path / "gone")
    with pytest.raises(UserError, match="has no runs"):
        load_emotion(tmp_path)
    with pytest.raises(UserError, match=r"has no run fold_\*/seed_7; it has fold_Session1/seed_1"):
        load_emotion(pooled, "fold_*/seed_7")
