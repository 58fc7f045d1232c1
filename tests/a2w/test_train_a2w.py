"""Training a recogniser of words: learns, resumes exactly, shares batches, and its checkpoint stands alone."""

import dataclasses
import json
import logging
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from lhotse import CutSet

from sertools.a2w.auxiliary import AuxiliarySources
from sertools.a2w.decoding import reader_of, recognise
from sertools.a2w.loss import off_diagonal, teach
from sertools.a2w.system import A2wConfig, A2wDataConfig, A2wTask
from sertools.a2w.training import load_a2w, train_a2w
from sertools.config import from_dict
from sertools.data.entries import read_entries
from sertools.data.reader import Reader
from sertools.decoding.beam_search import BeamConfig
from sertools.errors import UserError
from sertools.features.origin import check_origin
from sertools.lang.vocabulary import VocabularyConfig, load_vocabulary, make_vocabulary
from sertools.models.a2w import A2wModelConfig
from sertools.provenance import Stamp, made_with, write_stamp
from sertools.training.checkpoint import load_checkpoint
from sertools.training.loop import Conditions, Stopped, TrainingConfig

MODEL = A2wModelConfig(6, 2, 1, 24, 24, 16, 24, 4, 31, dropout=0.1)
CONFIG = A2wConfig(
    model=MODEL,
    auxiliary="ctc_phones",
    guide="3,0",
    data=A2wDataConfig(batch_frames=700, sorted_epochs=1),
    training=TrainingConfig(epochs=16, learning_rate=1e-2, final_learning_rate=2e-3, select_by="dev_wer"),
    dev_search=BeamConfig(beam=1, max_tokens=10),
)


def changed(config: A2wConfig = CONFIG, epochs: int = 1, **others: Any) -> A2wConfig:
    return dataclasses.replace(config, training=dataclasses.replace(config.training, epochs=epochs), **others)


def run(tiny: Any, out: Path, config: A2wConfig = CONFIG, **options: Any) -> Path:
    sources = options.pop("sources", AuxiliarySources(tiny.lang, tiny.graphs))
    return train_a2w(config, tiny.vocabulary, tiny.train, tiny.dev, out, sources=sources, **options)


@pytest.fixture(scope="module")
def trained(tiny_words: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tiny_words, tmp_path_factory.mktemp("exp"))


def history(directory: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (directory / "history.jsonl").read_text().splitlines()]


def test_learns(trained: Path) -> None:
    entries = history(trained.parent)
    best = min(entries, key=lambda e: (e["dev_wer"], e["dev_loss"]))
    assert best["dev_wer"] < 30.0 < 60.0 < entries[0]["dev_wer"]
    assert best["dev_token_error"] < entries[0]["dev_token_error"]
    assert entries[-1]["dev_auxiliary"] < entries[0]["dev_auxiliary"]
    info = load_checkpoint(trained).info
    assert info["best_epoch"] == best["epoch"]
    assert info["auxiliary_outputs"] == 5
    assert not (trained.parent / "state.safetensors").exists()


def test_checkpoint_stands_alone(tiny_words: Any, trained: Path, tmp_path: Path) -> None:
    """Moved, one by one or in batches: the same words."""
    moved = tmp_path / "elsewhere"
    shutil.copytree(trained, moved)
    recogniser = load_a2w(moved)
    assert recogniser.vocabulary == load_vocabulary(tiny_words.vocabulary)
    assert not recogniser.model.training
    cuts = CutSet.from_file(tiny_words.dev).to_eager()
    search = BeamConfig(beam=4, max_tokens=10)
    together = {one.id: one.hypothesis for one in recognise(recogniser, reader_of(recogniser, cuts, ""), search, 9999)}
    assert together.keys() == {cut.id for cut in cuts}
    for cut in cuts:
        (alone,) = recognise(recogniser, reader_of(recogniser, [cut], ""), search, 9999)
        assert alone.hypothesis.tokens == together[cut.id].tokens
        assert alone.hypothesis.score == pytest.approx(together[cut.id].score, abs=1e-4)


def test_a_checkpoint_of_something_else(trained: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(trained, other)
    (other / "vocabulary/vocabulary.txt").unlink()
    with pytest.raises(UserError, match=r"vocabulary\.txt does not exist"):
        load_a2w(other)
    make_vocabulary(["other words"], {}, {}, VocabularyConfig(), other / "vocabulary")
    with pytest.raises(UserError, match="is not the vocabulary that"):
        load_a2w(other)
    info = json.loads((other / "info.json").read_text())
    del info["vocabulary"]
    (other / "info.json").write_text(json.dumps(info))
    with pytest.raises(UserError, match="holds no acoustic-to-word recogniser"):
        load_a2w(other)


@pytest.mark.parametrize("auxiliary", ["none", "ctc", "lfmmi"])
def test_auxiliaries(tiny_words: Any, tmp_path: Path, auxiliary: Any) -> None:
    checkpoint = run(tiny_words, tmp_path, changed(epochs=2, auxiliary=auxiliary))
    entries = history(tmp_path)
    assert entries[1]["train_loss"] < entries[0]["train_loss"]
    assert ("dev_auxiliary" in entries[0]) == (auxiliary != "none")
    weights = load_checkpoint(checkpoint).weights
    assert any(name.startswith("auxiliary") for name in weights) == (auxiliary != "none")
    if auxiliary == "none":
        run(tiny_words, tmp_path / "bare", changed(auxiliary="none"), sources=AuxiliarySources())


def test_stopped_and_run_again_gives_the_same_weights(tiny_words: Any, tmp_path: Path) -> None:
    """With dropout, scheduled sampling, and sorted epochs before shuffled ones."""
    config = changed(epochs=3, sampling=0.3)
    whole = run(tiny_words, tmp_path / "whole", config)
    for stop_after in (5, 17):
        calls = iter(range(1000))
        with pytest.raises(Stopped):
            run(
                tiny_words,
                tmp_path / "cut",
                config,
                conditions=Conditions(should_stop=lambda c=calls, n=stop_after: next(c) >= n),
            )
    cut = run(tiny_words, tmp_path / "cut", config)
    one, other = load_checkpoint(whole).weights, load_checkpoint(cut).weights
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_up_to_date_and_why_not(tiny_words: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    run(tiny_words, tmp_path, changed())
    assert "train: 120 utterances" in caplog.text
    assert "epoch 1: 1 of 120 utterances have no path for auxiliary: ctc_phones" in caplog.text
    caplog.clear()
    run(tiny_words, tmp_path, changed())
    assert "is up to date" in caplog.text
    run(tiny_words, tmp_path, changed(smoothing=0.2))
    assert "smoothing: 0.1 -> 0.2" in caplog.text


def test_starts_from_another(tiny_words: Any, trained: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    training = dataclasses.replace(CONFIG.training, epochs=1, learning_rate=1e-4, final_learning_rate=1e-4)
    brief = dataclasses.replace(CONFIG, training=training)
    best = min(e["dev_wer"] for e in history(trained.parent))
    run(tiny_words, tmp_path / "again", brief, init=trained)
    assert history(tmp_path / "again")[0]["dev_wer"] <= best + 5
    assert "new are none" in caplog.text
    # other words: what depends on them is new
    make_vocabulary(["ba cab ac bca ab abc"], {}, {}, VocabularyConfig(), tmp_path / "vocabulary")
    other = dataclasses.replace(tiny_words, vocabulary=tmp_path / "vocabulary")
    run(other, tmp_path / "words", brief, init=trained)
    assert "new are embedding.weight, output.weight, output.bias" in caplog.text
    wide = dataclasses.replace(brief, model=dataclasses.replace(MODEL, encoder_dim=20))
    with pytest.raises(UserError, match="do not fit the configuration"):
        run(tiny_words, tmp_path / "wide", wide, init=trained)


def test_short_ones_first(tiny_words: Any) -> None:
    readers = [Reader(read_entries(path, False), 1.0) for path in (tiny_words.train, tiny_words.dev)]
    config = dataclasses.replace(CONFIG, auxiliary="none")
    task = A2wTask(config, load_vocabulary(tiny_words.vocabulary), None, *readers, seed=1, device="cpu")
    lengths = [[readers[0].entries[i].frames for b in task.batches(epoch, 0) for i in b.indices] for epoch in (1, 2)]
    assert lengths[0] == sorted(lengths[0])
    assert lengths[1] != sorted(lengths[1])
    assert sorted(lengths[1]) == lengths[0]
    assert {tokens for b in task.batches(1, 0) for (tokens, _), i in zip(b.targets, b.indices, strict=True) if i == 0
            for tokens in tokens} == set()  # fmt: skip


def test_off_diagonal_by_its_formula(tiny_words: Any) -> None:
    torch.manual_seed(0)
    vocabulary = load_vocabulary(tiny_words.vocabulary)
    task = A2wTask(changed(auxiliary="none"), vocabulary, None,
                   *[Reader(read_entries(tiny_words.dev, False), 1.0)] * 2, seed=1, device="cpu")  # fmt: skip
    lengths = torch.tensor([31, 12])
    encoding = task.model.eval().encode(torch.randn(2, 31, 6), lengths)
    tokens = [[2, 3, 4], [5]]
    decoded = teach(task.model, encoding, tokens)
    found = off_diagonal(decoded, tokens, encoding.lengths, 0.2)
    for row, (frames, steps) in enumerate(((16, 4), (6, 2))):
        value = sum(
            float(decoded.weights[row, step, t])
            * (1 - 2.718281828 ** (-((((step + 0.5) / steps) - (t + 0.5) / frames) ** 2) / (2 * 0.2**2)))
            for step in range(steps)
            for t in range(frames)
        )
        assert float(found[row]) == pytest.approx(value, rel=1e-4)
    assert 0 < float(found[1]) < 2


def test_what_does_not_fit(tiny_words: Any, trained: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"model\.feature_dim is 40, but the cuts have 6"):
        run(tiny_words, tmp_path, A2wConfig())
    with pytest.raises(UserError, match=r"local/make_vocabulary\.py"):
        run(dataclasses.replace(tiny_words, vocabulary=tmp_path / "none"), tmp_path)
    for values, message in (
        ({"auxiliary_weight": 1.0}, "auxiliary_weight"), ({"guide": "1,2,3"}, "schedule"),
        ({"lfmmi": {"xent_regularize": 0.1}}, "xent_regularize"), ({"normalise": "code"}, "normalise"),
        ({"normalise": "utterance", "auxiliary": "ctc"}, "counts by token"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=message):
            from_dict(A2wConfig, values)
    recogniser = load_a2w(trained)
    check_origin(recogniser.features, made_with(tiny_words.dev), "CUTS", recogniser.name)  # not recorded: a warning
    recogniser = dataclasses.replace(recogniser, features={"fbank": {"num_mel_bins": 40, "engine": "lhotse"}})
    shutil.copy(tiny_words.dev, tmp_path / "cuts.jsonl.gz")
    for made, message in (
        ({"fbank": {"num_mel_bins": 40, "engine": "kaldifeat"}}, None),
        ({"fbank": {"num_mel_bins": 80}}, "fbank features with num_mel_bins 80, but .* was trained on num_mel_bins 40"),
        ({"mfcc": {"num_mel_bins": 40}}, "has mfcc features, but .* was trained on fbank"),
    ):
        cuts = tmp_path / "cuts.jsonl.gz"
        write_stamp(tmp_path, Stamp(made, {}), [cuts.name])
        if message is None:
            check_origin(recogniser.features, made_with(cuts), str(cuts), recogniser.name)
        else:
            with pytest.raises(UserError, match=message):
                check_origin(recogniser.features, made_with(cuts), str(cuts), recogniser.name)
    config = dataclasses.replace(recogniser.config, model=dataclasses.replace(MODEL, feature_dim=5))
    with pytest.raises(UserError, match=r"features of dimension 6, .* takes 5"):
        reader_of(dataclasses.replace(recogniser, config=config), CutSet.from_file(tiny_words.dev), "cuts")


def test_bfloat16_of_the_encoder(tiny_words: Any) -> None:
    readers = [Reader(read_entries(path, False), 1.0) for path in (tiny_words.train, tiny_words.dev)]
    vocabulary = load_vocabulary(tiny_words.vocabulary)
    losses, dev = {}, {}
    for precision in ("float32", "bfloat16"):
        config = changed(auxiliary="none", precision=precision, model=dataclasses.replace(MODEL, dropout=0.0))
        task = A2wTask(config, vocabulary, None, *readers, seed=1, device="cpu")
        task.model.train()
        loss, _ = task.loss(next(task.batches(1, 0)))
        loss.backward()
        assert loss.dtype == torch.float32
        assert {p.grad.dtype for p in task.model.parameters() if p.grad is not None} == {torch.float32}
        losses[precision] = float(loss)
        task.model.eval()
        with torch.no_grad():
            dev[precision] = task.evaluate()["dev_loss"]
    assert losses["bfloat16"] != losses["float32"]
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=0.02)
    assert dev["bfloat16"] == dev["float32"]
