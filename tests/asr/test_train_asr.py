"""Training an acoustic model: learns, resumes exactly, and its checkpoint stands alone."""

import dataclasses
import json
import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lhotse import CutSet

from sertools.asr.apply import load_acoustic_model, log_likelihoods
from sertools.asr.chunks import chunked_scores
from sertools.asr.graphs import Numerators, load_graphs, unpack
from sertools.asr.lfmmi_system import AsrConfig, AsrTask, make_model
from sertools.asr.training import train_asr
from sertools.data.reader import Reader
from sertools.data.transcribed import DataConfig, open_readers
from sertools.errors import UserError
from sertools.lang.folder import load_lexicon
from sertools.lang.transcripts import transcript
from sertools.lfmmi import Lfmmi, LfmmiConfig
from sertools.models.asr import AcousticModelConfig
from sertools.models.layers import SemiOrthogonalLinear, SharedDropout
from sertools.models.tdnnf import TdnnfConfig
from sertools.training.checkpoint import load_checkpoint
from sertools.training.loop import Conditions, Stopped, TrainingConfig

TRUNK = TdnnfConfig(feature_dim=6, hidden_dim=24, bottleneck_dim=12, prefinal_dim=12, strides=(0, 1, 3))
CONFIG = AsrConfig(
    model=AcousticModelConfig(TRUNK, 24, 12),
    data=DataConfig(batch_frames=900),
    training=TrainingConfig(epochs=14, learning_rate=1e-2, final_learning_rate=2e-3, select_by="dev_per"),
    dropout="0.1,0",
)


def run(tiny: Any, out: Path, config: AsrConfig = CONFIG, graphs: Path | None = None, **options: object) -> Path:
    return train_asr(config, tiny.lang, graphs or tiny.graphs, tiny.train, tiny.dev, out, **options)


@pytest.fixture(scope="module")
def trained(tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tiny, tmp_path_factory.mktemp("exp"))


def history(directory: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (directory / "history.jsonl").read_text().splitlines()]


def test_learns_from_a_flat_start(tiny: Any, trained: Path) -> None:
    entries = history(trained.parent)
    assert min(e["dev_per"] for e in entries) < 15.0 < 40.0 < entries[0]["dev_per"]
    assert entries[-1]["dev_objective"] > entries[0]["dev_objective"]
    assert all(e["dev_objective"] < 0 for e in entries)
    assert entries[-1]["dev_xent"] > entries[0]["dev_xent"]
    assert entries[-1]["dev_numerator"] - entries[-1]["dev_denominator"] == pytest.approx(entries[-1]["dev_objective"])
    info = load_checkpoint(trained).info
    assert info["best_epoch"] == min(entries, key=lambda e: (e["dev_per"], e["dev_loss"]))["epoch"]
    assert info["topology"] == {"kind": "chain", "context": "mono"}
    assert info["phones"] == ["SIL", "a", "b", "c"]
    heard = sum(cut.duration for cut in CutSet.from_file(tiny.train))
    assert info["speech"] == {"seconds": pytest.approx(heard, abs=1e-3), "corpora": []}
    assert not (trained.parent / "state.safetensors").exists()


@pytest.mark.k2
def test_engines_agree_on_trained_outputs(tiny: Any, trained: Path) -> None:
    graphs, lexicon = load_graphs(tiny.graphs), load_lexicon(tiny.lang)
    scores = dict(log_likelihoods(trained, tiny.train))
    texts = {cut.id: transcript(cut) for cut in CutSet.from_file(tiny.train)}
    names = sorted(scores, key=lambda name: -len(scores[name]))[:20]
    numerators = [unpack(Numerators(graphs, lexicon)(texts[name])) for name in names]
    lengths = torch.tensor([len(scores[name]) for name in names])
    values, gradients = [], []
    for engine in ("dense", "k2"):
        outputs = torch.nn.utils.rnn.pad_sequence([scores[name] for name in names], batch_first=True).requires_grad_()
        value = Lfmmi(graphs.denominator, LfmmiConfig(engine, leaky_hmm=0.0))(outputs, lengths, numerators)  # type: ignore[arg-type]
        value.loss.backward()
        values.append(value)
        gradients.append(outputs.grad)
    assert not values[0].impossible.any()
    for name in ("numerator", "denominator"):
        difference = (getattr(values[0], name) - getattr(values[1], name)).abs() / lengths
        assert float(difference.max()) < 1e-5
    assert float((gradients[0] - gradients[1]).abs().max()) < 1e-4 * float(gradients[0].abs().max())


def test_starts_from_another_model(tiny: Any, trained: Path, tmp_path: Path) -> None:
    """One short epoch after a whole training is as good; also with outputs of another topology."""
    brief = dataclasses.replace(
        CONFIG, training=dataclasses.replace(CONFIG.training, epochs=1, learning_rate=1e-4, final_learning_rate=1e-4)
    )
    best = min(e["dev_per"] for e in history(trained.parent))
    run(tiny, tmp_path / "again", brief, init=trained)
    assert history(tmp_path / "again")[0]["dev_per"] <= best + 5
    run(tiny, tmp_path / "scratch", brief)
    assert history(tmp_path / "scratch")[0]["dev_per"] > best + 20
    run(tiny, tmp_path / "ctc", brief, tiny.graphs_ctc, init=trained)
    weights = load_checkpoint(tmp_path / "ctc" / "checkpoint").weights
    assert weights["chain.output.weight"].shape[0] == 5  # four phones and the blank
    other = dataclasses.replace(brief, model=AcousticModelConfig(dataclasses.replace(TRUNK, hidden_dim=20), 24, 12))
    with pytest.raises(UserError, match=r"do not fit the configuration: trunk\.first\.weight has shape"):
        run(tiny, tmp_path / "other", other, init=trained)


def test_ctc_learns_too(tiny: Any, tmp_path: Path) -> None:
    run(tiny, tmp_path, dataclasses.replace(CONFIG, loss="ctc"), tiny.graphs_ctc)
    entries = history(tmp_path)
    assert min(e["dev_per"] for e in entries) < 15.0
    assert not any(name.startswith("xent") for name in load_checkpoint(tmp_path / "checkpoint").weights)
    with pytest.raises(UserError, match="needs graphs with topology kind: ctc"):
        run(tiny, tmp_path / "no", dataclasses.replace(CONFIG, loss="ctc"))


def test_stopped_and_run_again_gives_the_same_weights(tiny: Any, trained: Path, tmp_path: Path) -> None:
    config = dataclasses.replace(CONFIG, training=dataclasses.replace(CONFIG.training, epochs=3))
    whole = run(tiny, tmp_path / "whole", config)
    for stop_after in (4, 9):
        calls = iter(range(1000))
        with pytest.raises(Stopped):
            run(
                tiny,
                tmp_path / "cut",
                config,
                conditions=Conditions(should_stop=lambda c=calls, n=stop_after: next(c) >= n),
            )
    cut = run(tiny, tmp_path / "cut", config)
    one, other = load_checkpoint(whole).weights, load_checkpoint(cut).weights
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_up_to_date_and_why_not(tiny: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    short = dataclasses.replace(CONFIG, training=dataclasses.replace(CONFIG.training, epochs=1))
    run(tiny, tmp_path, short)
    assert "train: 80 utterances" in caplog.text
    assert "input frames a second" in caplog.text
    caplog.clear()
    run(tiny, tmp_path, short)
    assert "up to date" in caplog.text
    run(tiny, tmp_path, dataclasses.replace(short, lfmmi=LfmmiConfig(leaky_hmm=0.01)))
    assert "lfmmi.leaky_hmm: 0.1 -> 0.01" in caplog.text


def test_impossible_utterances_are_counted(tiny: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """An utterance with more letters than output frames teaches nothing and stops nothing."""
    caplog.set_level(logging.INFO)
    cuts = list(CutSet.from_file(tiny.train).subset(first=20))
    cuts[3] = cuts[3].truncate(duration=0.06)
    cuts[3].id = "short"
    CutSet.from_cuts(cuts).to_file(tmp_path / "cuts.jsonl.gz")
    config = dataclasses.replace(CONFIG, training=dataclasses.replace(CONFIG.training, epochs=1))
    train_asr(config, tiny.lang, tiny.graphs, tmp_path / "cuts.jsonl.gz", tiny.dev, tmp_path / "exp")
    assert "epoch 1: 1 of 20 utterances have no path" in caplog.text


def test_checkpoint_stands_alone(tiny: Any, trained: Path, tmp_path: Path) -> None:
    """Moved, without transcripts, one by one or in batches: the same scores."""
    moved = tmp_path / "elsewhere"
    shutil.copytree(trained, moved)
    cuts = [cut.drop_supervisions() for cut in CutSet.from_file(tiny.dev)]
    together = dict(log_likelihoods(moved, cuts))
    loaded = load_acoustic_model(moved)
    assert set(together) == {cut.id for cut in cuts}
    for cut in cuts:
        ((name, alone),) = log_likelihoods(loaded, [cut], batch_frames=10)
        assert alone.shape == (-(-cut.num_frames // 3), 8)
        assert alone.dtype == torch.float32
        torch.testing.assert_close(together[name], alone, atol=1e-4, rtol=1e-4)
    assert loaded.topology.num_pdfs == 8
    assert loaded.silence == 1


def test_ivectors(tiny: Any, tmp_path: Path) -> None:
    trunk = dataclasses.replace(TRUNK, ivector_dim=3)
    training = dataclasses.replace(CONFIG.training, epochs=1)
    config = dataclasses.replace(CONFIG, model=AcousticModelConfig(trunk, 24, 12), training=training)
    checkpoint = run(tiny, tmp_path / "exp", config)
    whole = dict(log_likelihoods(checkpoint, tiny.dev))
    chunks = dict(log_likelihoods(checkpoint, tiny.dev, ivector_chunk=50))
    assert whole.keys() == chunks.keys()
    assert all(whole[name].shape == chunks[name].shape for name in whole)
    assert any(not torch.allclose(whole[name], chunks[name]) for name in whole)
    with pytest.raises(UserError, match="has no i-vectors"):
        list(log_likelihoods(checkpoint, [cut.with_custom("ivector", None) for cut in CutSet.from_file(tiny.dev)]))
    with pytest.raises(UserError, match=r"model\.trunk\.ivector_dim is 7, but the cuts have 3"):
        run(tiny, tmp_path / "bad", dataclasses.replace(config, model=AcousticModelConfig(
            dataclasses.replace(TRUNK, ivector_dim=7), 24, 12)))  # fmt: skip


def test_chunks_with_one_ivector_are_the_whole() -> None:
    torch.manual_seed(0)
    trunk = dataclasses.replace(TRUNK, ivector_dim=3, strides=(0, 1, 3, 3))
    model = make_model(dataclasses.replace(CONFIG, model=AcousticModelConfig(trunk, 24, 12)), 9).eval()
    torch.nn.init.normal_(model.chain.output.weight)
    features = np.random.default_rng(0).normal(0, 1, (157, 6)).astype(np.float32)
    ivectors = np.tile(np.float32([[1.0, -1.0, 0.5]]), (16, 1))
    with torch.no_grad():
        whole = model(torch.from_numpy(features)[None], torch.tensor([157]), torch.from_numpy(ivectors[:1]))[0][0]
        chunked = chunked_scores(model, features, ivectors, 20)
    assert float(whole.std()) > 0.1
    torch.testing.assert_close(chunked, whole, atol=1e-4, rtol=1e-4)


def test_not_an_acoustic_model(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path / "other")
    info = json.loads((tmp_path / "other/info.json").read_text())
    del info["topology"]
    (tmp_path / "other/info.json").write_text(json.dumps(info))
    with pytest.raises(UserError, match="holds no acoustic model"):
        load_acoustic_model(tmp_path / "other")


@pytest.mark.parametrize("transform", ["white", "variance"])
def test_moments_of_the_input_are_of_the_training_part(tiny: Any, transform: Any) -> None:
    """Whatever dev is, the network begins the same; orthogonality and dropout follow their settings."""
    config = dataclasses.replace(CONFIG, input_transform=transform, orthonormal_every=4)
    train, dev = open_readers(tiny.train, tiny.dev, config.data, ivectors=False)
    graphs, lexicon = load_graphs(tiny.graphs), load_lexicon(tiny.lang)

    def start(train: Reader, dev: Reader) -> AsrTask:
        return AsrTask(config, graphs, lexicon, train, dev, seed=1, device="cpu")

    one, other, different = start(train, dev), start(train, train), start(dev, dev)
    states = [task.model.state_dict() for task in (one, other, different)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not all(torch.equal(states[0][name], states[2][name]) for name in states[0])
    for progress, p in ((0.0, 0.1), (0.5, 0.05), (1.0, 0.0)):
        one.before_step(progress)
        assert {round(m.p, 6) for m in one.model.modules() if isinstance(m, SharedDropout)} == {p}
    weight = next(m.weight for m in one.model.modules() if isinstance(m, SemiOrthogonalLinear))
    before = weight.detach().clone()
    one.after_step(3)
    assert torch.equal(weight, before)
    one.after_step(4)
    assert not torch.equal(weight, before)


def test_each_chunk_has_the_ivector_of_its_middle() -> None:
    """Of an i-vector every ten frames: frame 30 of chunks of 60 frames, and of the last one its own middle."""
    torch.manual_seed(0)
    trunk = dataclasses.replace(TRUNK, ivector_dim=3)
    model = make_model(dataclasses.replace(CONFIG, model=AcousticModelConfig(trunk, 24, 12)), 9).eval()
    heard = []
    model.register_forward_pre_hook(lambda module, given: heard.append(given[2][0].tolist()))
    ivectors = np.arange(15, dtype=np.float32)[:, None].repeat(3, 1)
    with torch.no_grad():
        assert chunked_scores(model, np.zeros((150, 6), np.float32), ivectors, 60).shape == (50, 9)
    assert heard == [[3.0] * 3, [9.0] * 3, [13.0] * 3]
