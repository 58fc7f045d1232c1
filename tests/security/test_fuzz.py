"""A thousand of each kind of file that someone else may have made wrongly: only our own sentences are seen.

FUZZ_EXAMPLES=20000 makes more of each.
"""

import contextlib
import copy
import io
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
import yaml

pytest.importorskip("hypothesis", reason="hypothesis is not installed; requirements/dev.in has it")

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lhotse import MonoCut, Recording, SupervisionSegment

from sertools.asr.lfmmi_system import AsrConfig
from sertools.backbones.folder import open_folder
from sertools.backbones.load import load_speech
from sertools.config import load_config
from sertools.corpora.audio_check import check_audio
from sertools.emotion.tdnn.config import EmotionConfig
from sertools.errors import UserError
from sertools.features.pipeline import FeaturesConfig
from sertools.manifests import read_recordings_or_cuts, read_supervisions
from sertools.partitions.examples import Example
from sertools.partitions.folds import read_folds, write_folds
from sertools.partitions.making import FoldsConfig, make_folds
from sertools.partitions.raters import RatersConfig, votes_of
from sertools.prediction.audio import cut_source, file_source
from sertools.reading import parse_json, parse_yaml, read_text
from sertools.runs.folder import read_run, remarks, versions
from sertools.runs.predictions import read_predictions
from sertools.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "1000"))
A_THOUSAND = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
A_THIRD = settings(A_THOUSAND, max_examples=EXAMPLES // 3 + 1)
NASTY = st.one_of(
    st.sampled_from([
        None, True, -1, 0, 1, 1e9, 1e-9, -1e9, 10**9, 2**31, 2**63, 10**400, float("nan"), float("inf"), "", "x", "0",
        "1e9", "\0", "\udc80", "é", "../../x", "/dev/zero", "pipe:true", "x" * 200_000, [], [[]], {}, {"": None},
        [None], [0, 0], {"name": "Resample", "kwargs": {}}, {"name": "Speed", "kwargs": {"factor": 1e-9}},
    ]),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.recursive(st.none() | st.integers() | st.text(max_size=3), lambda x: st.lists(x, max_size=3), max_leaves=5),
)  # fmt: skip


def places(value: Any, so_far: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every key and index in a value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*so_far, key)
        yield from places(item, (*so_far, key))


@st.composite
def spoiled(draw: Callable[..., Any], good: Any) -> Any:
    """A value with one to three of its parts replaced, removed, doubled or added."""
    value = copy.deepcopy(good)
    for _ in range(draw(st.integers(1, 3))):
        known = list(places(value))
        if not known:
            break
        *above, last = draw(st.sampled_from(known))
        inside = value
        for key in above:
            inside = inside[key]
        change = draw(st.sampled_from(["replace", "replace", "remove", "add"]))
        if change == "remove":
            del inside[last]
        elif change == "add" and isinstance(inside, dict):
            inside[draw(st.text(max_size=8))] = copy.deepcopy(draw(NASTY))
        elif change == "add":
            inside.append(copy.deepcopy(draw(NASTY)))
        else:
            inside[last] = copy.deepcopy(draw(NASTY))
    return value


@st.composite
def spoiled_bytes(draw: Callable[..., Any], good: bytes, first: int | None = None) -> bytes:
    """Bytes with pieces replaced, removed or doubled; only among the first ones, if so told."""
    content = bytearray(good)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, min(len(content), first or len(content))))
        size = draw(st.sampled_from([0, 1, 2, 4, 8, 50]))
        content[at : at + size] = draw(st.binary(max_size=8) | st.just(bytes(content[at : at + 60])))
    return bytes(content)


def dumped(value: Any) -> str:
    """JSON, with half characters as they are escaped."""
    return json.dumps(value)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@pytest.fixture(scope="module")
def wav(folder: Path) -> Path:
    path = folder / "a.wav"
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, 1600), 16000)
    return path


def only_sentences(use: Callable[[], object]) -> None:
    """Run; what is refused is refused in a sentence."""
    with contextlib.suppress(UserError):
        use()


def test_manifests(folder: Path, wav: Path) -> None:
    recording = Recording.from_file(wav)
    segment = SupervisionSegment("u", recording.id, 0.0, 0.1, text="a b", speaker="s", custom={"emotion": "sad"})
    cut = MonoCut("u", 0.0, 0.1, 0, [segment], recording=recording)
    bases = [cut.to_dict(), cut.resample(8000).perturb_speed(0.9).to_dict(), recording.to_dict()]
    path = folder / "m.jsonl"

    def use() -> None:
        for one in read_recordings_or_cuts(path):
            source = cut_source(one)
            assert source.name
            for block, rate in source.read():
                assert np.isfinite(block).all()
                assert rate > 0

    @A_THOUSAND
    @given(st.one_of([spoiled(base) for base in bases]))
    def run(value: Any) -> None:
        path.write_text(dumped(value) + "\n")
        only_sentences(use)

    @A_THIRD
    @given(spoiled(segment.to_dict()))
    def run_supervisions(value: Any) -> None:
        path.write_text(dumped(value) + "\n")
        only_sentences(lambda: read_supervisions(path))

    run()
    run_supervisions()


def test_headers_of_audio(folder: Path, wav: Path) -> None:
    sphere = io.BytesIO()
    soundfile.write(sphere, np.zeros(500), 16000, format="NIST", subtype="PCM_16")
    path = folder / "b.wav"

    def use() -> None:
        check_audio(path)
        for block, rate in file_source(path).read():
            assert block.dtype == np.float32
            assert rate > 0

    @A_THOUSAND
    @given(spoiled_bytes(wav.read_bytes(), 44) | spoiled_bytes(sphere.getvalue(), 200))
    def run(content: bytes) -> None:
        path.write_bytes(content)
        only_sentences(use)

    run()


def test_checkpoints(folder: Path) -> None:
    info = {
        "classes": ["angry", "sad"], "phones": ["a", "b"], "silence": None, "best_epoch": 3, "remarks": ["one"],
        "inputs": {"pretrained": "0a"}, "pretrained": "../x", "features": {"mfcc": {"num_ceps": 3}}, "topology": {},
    }  # fmt: skip
    run_folder = folder / "run"
    where = run_folder / "checkpoint"
    run_folder.mkdir()
    save_checkpoint(where, Checkpoint({"x": torch.zeros(2)}, {"model": {"dim": 3}, "list": [1]}, info))
    history = [{"epoch": 1, "train_loss": 0.5, "dev_ua": 0.5, "learning_rate": 0.1, "seconds": 1.0}, {"epoch": 2}]
    config = yaml.safe_load((where / "config.yaml").read_text())

    def use() -> None:
        load_checkpoint(where)
        run = read_run("fold_1/seed_1", run_folder)
        assert run.best_epoch is None or run.best_epoch >= 0
        versions([run])
        remarks([run])

    @A_THOUSAND
    @given(st.tuples(spoiled(info) | st.just(info), spoiled(history), spoiled(config) | NASTY))
    def run(values: Any) -> None:
        told, entries, settings_ = values
        (where / "info.json").write_text(dumped(told))
        lines = entries if isinstance(entries, list) else [entries]
        (run_folder / "history.jsonl").write_text("".join(dumped(line) + "\n" for line in lines))
        # JSON is YAML
        (where / "config.yaml").write_text(dumped(settings_))
        only_sentences(use)

    run()


def test_folds(folder: Path) -> None:
    examples = [Example(f"u{i}", f"s{i % 4}", f"g{i % 4}", "ab"[i % 2]) for i in range(16)]
    made = make_folds(FoldsConfig(class_set="two", protocol="strict"), examples, corpus="x", classes=("a", "b"))
    write_folds(folder / "folds", made)
    path = folder / "mine" / "folds.json"
    path.parent.mkdir()
    good = json.loads((folder / "folds" / "folds.json").read_text())
    rated = {**good, "target": good["target"] | {"raters": True}, "shares": {u: [0.25, 0.75] for u in good["labels"]}}

    @A_THOUSAND
    @given(spoiled(good) | spoiled(rated))
    def run(value: Any) -> None:
        path.write_text(dumped(value))
        only_sentences(lambda: read_folds(path))

    run()


def test_votes_of_raters() -> None:
    lists = {"votes": [{"rater": "A", "kind": "other", "labels": ["a", "b"]}, {"rater": "B", "labels": ["a"]}]}

    @A_THIRD
    @given(spoiled(lists) | spoiled({"votes": {"a": 3, "b": 1}}))
    def run(custom: Any) -> None:
        segment = SupervisionSegment("u", "r", 0.0, 1.0, custom=custom)
        only_sentences(lambda: votes_of([segment], ("a", "b"), RatersConfig(field="votes")))

    run()


def test_pretrained_models(folder: Path) -> None:
    """config.json of one that is made without another library, and of one that is only looked at."""
    where = folder / "backbone"
    where.mkdir()
    whisper = {
        "model_type": "whisper", "architectures": ["WhisperModel"], "num_mel_bins": 8, "d_model": 4, "vocab_size": 20,
        "encoder_layers": 1, "encoder_attention_heads": 2, "encoder_ffn_dim": 4, "max_source_positions": 20,
    }  # fmt: skip
    wav2vec = {
        "model_type": "wav2vec2", "hidden_size": 16, "num_hidden_layers": 2, "intermediate_size": 24,
        "conv_dim": [8, 8], "conv_kernel": [10, 3], "conv_stride": [5, 2], "attention_dropout": 0.1,
    }  # fmt: skip
    heard = {"sampling_rate": 16000, "do_normalize": True}

    def use() -> None:
        found = open_folder(where, weights=False)
        assert found.origin(1).describe()
        if found.family == "whisper":
            load_speech(where, random_seed=1)
        else:
            found.input_scale()

    @A_THIRD
    @given(st.tuples(spoiled(whisper) | spoiled(wav2vec), spoiled(heard) | st.just(heard)))
    def run(values: Any) -> None:
        for name, value in zip(("config.json", "preprocessor_config.json"), values, strict=True):
            (where / name).write_text(dumped(value))
        only_sentences(use)

    run()


def test_predictions(folder: Path) -> None:
    path = folder / "predictions.csv"
    columns = b"utterance,speaker,corpus,part,repetition,fold,seed,label,"
    plain = columns + b"p_a,p_b\n" + b"".join(b"u%d,s,c,test,1,1,1,a,0.5,0.5\n" % i for i in range(3))
    rated = columns + b"r_a,r_b,p_a,p_b\n" + b"".join(b"u%d,s,c,test,1,1,1,a,1,0,0.5,0.5\n" % i for i in range(3))

    @A_THOUSAND
    @given(spoiled_bytes(plain) | spoiled_bytes(rated))
    def run(content: bytes) -> None:
        path.write_bytes(content)
        only_sentences(lambda: read_predictions(path))

    run()


@pytest.mark.parametrize("cls", [EmotionConfig, FeaturesConfig, AsrConfig], ids=lambda cls: cls.__name__)
def test_configurations(folder: Path, cls: type, root: Path) -> None:
    good = {
        "EmotionConfig": {
            "model": {"layers": ["tdnnf2"], "pooling": "frames", "head_dim": 4,
                      "trunk": {"feature_dim": 13, "hidden_dim": 8, "bottleneck_dim": 4, "strides": [0, 1, 3]}},
            "training": {"epochs": 2, "learning_rate": 0.1}, "data": {"batch_frames": 100}, "dropout": "0,0@0.2,0",
        },
        "FeaturesConfig": {
            "mfcc": {"sampling_rate": 8000, "num_mel_bins": 23, "num_ceps": 13, "high_freq": 0, "frame_length": 0.025},
            "store": {"tick_power": -8, "block_minutes": 10}, "perturb": {"seed": 1},
        },
        "AsrConfig": {"model": {"head_dim": 4}, "lfmmi": {"leaky_hmm": 0.1}, "training": {"epochs": 1}},
    }[cls.__name__]  # fmt: skip
    path = folder / "c.yaml"

    @A_THIRD
    @given(spoiled(good))
    def run(value: Any) -> None:
        path.write_text(dumped(value))
        only_sentences(lambda: load_config(cls, path))

    run()


def test_texts(folder: Path) -> None:
    path = folder / "t.yaml"

    def use() -> None:
        text = read_text(path)
        only_sentences(lambda: parse_json(text, "it"))
        only_sentences(lambda: parse_yaml(text, "it"))

    @A_THOUSAND
    @given(st.binary(max_size=50) | st.text(alphabet="[]{}&*!<:,-a0\"' \n#|>%@`", max_size=60).map(str.encode))
    def run(content: bytes) -> None:
        path.write_bytes(content)
        only_sentences(use)

    run()
