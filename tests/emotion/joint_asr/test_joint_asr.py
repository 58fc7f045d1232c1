"""S4's systems on a small corpus: each from features to tables, joint training, and what is told and what heard."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sertools.a2w.loss import loss_of_outputs, teach
from sertools.config import from_dict
from sertools.data.batching import Part
from sertools.data.weights import balanced_weights
from sertools.decoding.beam_search import BeamConfig
from sertools.decoding.transcripts import read_transcripts
from sertools.emotion.experiment import Experiment, always, train_run, train_runs
from sertools.emotion.inputs import Inputs
from sertools.emotion.joint_asr.config import DataConfig, S4Config, WordsConfig
from sertools.emotion.joint_asr.data import Spoken, collate, events_as_words, plan, whole
from sertools.emotion.joint_asr.hearing import Memory, follow, hear, targets
from sertools.emotion.joint_asr.network import sequences_of
from sertools.emotion.joint_asr.system import S4System, make_system
from sertools.emotion.joint_asr.task import S4Task
from sertools.emotion.joint_asr.words import WordReader
from sertools.emotion.kinds import SystemMaker, find_kind, load_system
from sertools.emotion.system import RunId
from sertools.errors import UserError
from sertools.evaluation.score.scoring import evaluate
from sertools.models.a2w import UtteranceDropout
from sertools.partitions.folds import read_folds
from sertools.partitions.target import Target
from sertools.runs.predictions import read_predictions
from sertools.training.checkpoint import load_checkpoint
from sertools.training.distributed import SINGLE
from sertools.training.loop import Conditions, Stopped

TARGET = Target("emotion", classes=("angry", "sad"))
SMALL: dict[str, Any] = {
    "system": "s4",
    "model": {"feature_dim": 6, "word_dim": 5, "lstm_dim": 6, "heads": 2, "attention_dim": 8, "hidden_dim": 16},
    "data": {"batch_size": 5, "max_frames": 20},
    "words": {"min_count": 1},
    "states": {"search": {"beam": 2, "max_tokens": 6}},
    "training": {"epochs": 2, "learning_rate": 5e-3, "final_learning_rate": 2e-3, "warmup": 0.0},
}


def changed(values: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """``values`` with dotted keys changed."""
    result = json.loads(json.dumps(values))
    for key, value in changes.items():
        *groups, last = key.split(".")
        inner = result
        for group in groups:
            inner = inner.setdefault(group, {})
        inner[last] = value
    return result


def system(told: Any, **changes: Any) -> S4System:
    config = from_dict(S4Config, changed(SMALL, {key.replace("__", "."): value for key, value in changes.items()}))
    return make_system(config, told.recogniser, told.transcripts)


def run(told: Any, made: S4System, out: Path, **options: Any) -> Path:
    given = {"recogniser": told.recogniser, "transcripts": told.transcripts}
    inputs = Inputs.of(find_kind("s4").needs(made.config), given, RunId("Session1", 1))
    return train_run(
        Experiment(always(made, inputs), read_folds(told.folds), out, (told.cuts,)), "Session1", 1, **options
    )


def utterances(told: Any, made: S4System) -> list[Spoken]:
    folds = read_folds(told.folds)
    found = made.read([told.cuts], {name: folds.classes.index(label) for name, label in folds.labels.items()})
    return [found[name] for name in sorted(found)]


def task(told: Any, made: S4System, count: int = 12) -> S4Task:
    some = utterances(told, made)
    return made.task(TARGET, some[:count], some[count : count + 6], seed=3, device="cpu", group=SINGLE)


SYSTEMS: dict[str, dict[str, Any]] = {
    "audio": {"model__branches": ["audio"]},
    "text": {"model__branches": ["words"]},
    "text_asr": {"model__branches": ["words"], "words__test": "asr"},
    "combined": {"model__branches": ["audio", "words"]},
    "combined_asr": {"model__branches": ["audio", "words"], "words__train": "asr", "words__test": "asr"},
    "asr_ser": {"model__branches": ["audio", "decoder_states"]},
    "asr_ser_frozen": {"model__branches": ["audio", "decoder_states"], "joint__train_recogniser": False},
    "asr_ser_own": {
        "model__branches": ["audio", "decoder_states"], "states__train": "hypothesis", "joint__normalise": "code",
        "states__decoder_state": "output", "data__mask_padding": False, "data__class_weights": "balanced",
    },
    "asr_ser_told": {"model__branches": ["decoder_states"], "states__test": "reference"},
    "text_of_the_recogniser": {"model__branches": ["words"], "words__vocabulary": "recogniser"},
}  # fmt: skip


@pytest.mark.parametrize("name", SYSTEMS)
def test_from_features_to_tables(told: Any, tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    made = system(told, **SYSTEMS[name])
    directory = run(told, made, tmp_path / "exp")
    table = read_predictions([directory / "predictions.csv"])
    fold = read_folds(told.folds).folds[0]
    for part in ("dev", "test"):
        assert set(table.select(part=part).utterances) == set(getattr(fold, part))
    checkpoint = load_checkpoint(directory / "checkpoint")
    assert checkpoint.config["system"] == "s4"
    recognises, learns = "asr_ser" in name, "asr_ser" in name and "frozen" not in name
    assert any(key.startswith("recogniser.") for key in checkpoint.weights) == learns
    assert (directory / "transcripts_before.csv").exists() == recognises
    assert (directory / "transcripts_after.csv").exists() == learns
    history = [json.loads(line) for line in (directory / "history.jsonl").read_text().splitlines()]
    assert ("dev_wer" in history[0]) == learns
    if recognises:
        rows = {one.id: one for one in read_transcripts(directory / "transcripts_before.csv")}
        assert set(rows) == set(fold.dev) | set(fold.test)
        assert (tmp_path / "exp/recogniser/vocabulary/vocabulary.txt").exists()
    # whoever is told what was said must say so
    told_so = name in ("text", "combined", "asr_ser_told", "text_of_the_recogniser")
    assert bool(checkpoint.info["remarks"]) == told_so
    caplog.set_level("INFO")
    run(told, system(told, **SYSTEMS[name]), tmp_path / "exp")
    assert "up to date" in caplog.text


def test_scores_say_what_was_told_and_what_was_heard(told: Any, tmp_path: Path) -> None:
    run(told, system(told, **SYSTEMS["asr_ser_told"]), tmp_path / "exp")
    evaluate(tmp_path / "exp", tmp_path / "results")
    for name in ("results.txt", "report.html"):
        text = (tmp_path / "results" / name).read_text()
        assert "TESTED WITH REFERENCE TRANSCRIPTS" in text
        assert "WER before" in text
    found = json.loads((tmp_path / "results/results.json").read_text())["words"]
    assert {one["scope"] for one in found} == {"all", "length", "class"}


def test_words_that_tell_are_learnt_and_errors_hurt(told: Any, tmp_path: Path) -> None:
    def wa(made: S4System, out: Path) -> float:
        test = read_predictions([run(told, made, out) / "predictions.csv"]).select(part="test")
        return float(np.mean(test.probabilities.argmax(1) == test.labels))

    longer = {"training__epochs": 12, "training__learning_rate": 1e-2}
    reference = wa(system(told, **SYSTEMS["text"], **longer), tmp_path / "reference")
    recognised = wa(system(told, **SYSTEMS["text_asr"], **longer), tmp_path / "asr")
    assert reference > 0.9 > recognised


def test_stopped_and_run_again_gives_the_same_tables(told: Any, tmp_path: Path) -> None:
    made = system(told, **SYSTEMS["asr_ser"], data__crop="random")
    whole_run = run(told, made, tmp_path / "whole")
    for stop_after in (2, 5):
        calls = iter(range(1000))
        with pytest.raises(Stopped):
            run(
                told,
                made,
                tmp_path / "cut",
                conditions=Conditions(should_stop=lambda c=calls, n=stop_after: next(c) >= n),
            )
    cut = run(told, made, tmp_path / "cut")
    for name in ("predictions.csv", "transcripts_after.csv"):
        assert (whole_run / name).read_bytes() == (cut / name).read_bytes()


def test_tables_of_another_configuration_do_not_stay(told: Any, tmp_path: Path) -> None:
    directory = run(told, system(told, **SYSTEMS["asr_ser"]), tmp_path / "exp")
    run(told, system(told, **SYSTEMS["asr_ser_frozen"]), tmp_path / "exp")
    assert not (directory / "transcripts_after.csv").exists()


# joint training


def gradients(one: S4Task, part: Part | None = None) -> tuple[float, dict[str, Tensor]]:
    """Loss and gradients of all of the train part in one batch, without dropout."""
    for module in one.model.modules():
        if hasattr(module, "p"):
            module.p = 0.0
    one.model.train().double()
    one.model.zero_grad(set_to_none=True)
    chosen = [dataclasses.replace(u, features=u.features.double()) for u in one.train]
    loss, weight = one.loss(collate(chosen, one.config.data, None, part))
    loss.backward()
    assert weight == len(chosen[part.rows] if part else chosen)
    return float(loss.detach()), {n: p.grad for n, p in one.model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("source", ["reference", "hypothesis"])
def test_lambda_0_and_1_are_the_single_tasks(told: Any, source: str) -> None:
    def at(weight: float) -> tuple[float, dict[str, Tensor]]:
        return gradients(task(told, system(told, **SYSTEMS["asr_ser"], states__train=source, joint__weight=weight)))

    ser, only_ser = at(0.0)
    asr, only_asr = at(1.0)
    # of emotion alone: the cross-entropy of what the branches read, computed here again
    one = task(told, system(told, **SYSTEMS["asr_ser"], states__train=source))
    one.model.double().eval()
    recogniser = one.model.recogniser
    assert recogniser is not None
    chosen = [dataclasses.replace(u, features=u.features.double()) for u in one.train]
    features, lengths = whole(chosen)
    if source == "reference":
        found = follow(recogniser, one.model.vocabulary, chosen, one.config.states)
    else:
        found = hear(recogniser, one.model.vocabulary, chosen, one.config.states, one.config.states.epoch_search)
    batch = collate(chosen, one.config.data)
    rows = [found[u.id].states.double() for u in batch.utterances]
    states = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True), torch.tensor([len(row) for row in rows])
    scores = one.model.emotion(sequences_of(one.config, batch, None, states, "cpu", training=True))
    wanted_loss = torch.nn.functional.cross_entropy(scores, batch.labels).item()
    assert ser == pytest.approx(wanted_loss, rel=1e-5)
    # of recognition alone: the recogniser's own loss, and nothing for the rest
    words = targets(chosen, one.model.vocabulary)
    decoded = teach(recogniser, recogniser.encode(features, lengths), words)
    total, count = loss_of_outputs(recogniser, decoded, words, normalise="utterance")
    assert asr == pytest.approx(total.item() / count, rel=1e-9)
    recogniser.zero_grad()
    (total / count).backward()
    wanted = {f"recogniser.{n}": p.grad for n, p in recogniser.named_parameters() if p.grad is not None}
    assert only_asr.keys() == wanted.keys()
    for name, value in wanted.items():
        torch.testing.assert_close(only_asr[name], value)
    assert "recogniser.output.weight" not in only_ser, "what predicts words has no part in emotion"
    assert float(only_ser["recogniser.attention.key.weight"].abs().max()) > 0, "emotion moves the recogniser"
    # and between them: the weighted sum
    both, joint = at(0.2)
    assert both == pytest.approx(0.2 * asr + 0.8 * ser, rel=1e-9)
    for name, value in joint.items():
        expected = 0.2 * only_asr.get(name, torch.zeros(())) + 0.8 * only_ser.get(name, torch.zeros(()))
        torch.testing.assert_close(value, expected.expand_as(value))


def test_the_codes_weighting(told: Any) -> None:
    """The sum over utterances, of all of a batch that is shared."""

    def loss(normalise: str, weight: float, part: Part | None = None) -> float:
        made = system(told, **SYSTEMS["asr_ser"], joint__normalise=normalise, joint__weight=weight)
        return gradients(task(told, made), part)[0]

    ser, asr = loss("same", 0.0), loss("same", 1.0)
    assert loss("code", 0.2) == pytest.approx(12 * 0.2 * asr + 0.8 * ser, rel=1e-9)
    parts = [loss("code", 0.2, Part(slice(rank, None, 2), 12, True)) for rank in (0, 1)]
    assert sum(parts) / 2 == pytest.approx(loss("code", 0.2), rel=1e-9)


def test_parts_of_a_batch_are_the_batch(told: Any) -> None:
    for name in ("asr_ser_own", "combined"):
        made = system(told, **SYSTEMS[name])
        loss, all_of = gradients(task(told, made))
        halves = [gradients(task(told, made), Part(slice(rank, None, 2), 12, True)) for rank in (0, 1)]
        assert sum(half[0] for half in halves) / 2 == pytest.approx(loss, rel=1e-9)
        for key, value in all_of.items():
            torch.testing.assert_close((halves[0][1][key] + halves[1][1][key]) / 2, value)


def test_a_recogniser_that_does_not_learn_is_read_as_one_that_does(told: Any) -> None:
    """States kept from before are those that joint training begins with, and the given weights stay."""
    frozen, learning = (task(told, system(told, **SYSTEMS[name])) for name in ("asr_ser_frozen", "asr_ser"))
    learning.model.emotion.load_state_dict(frozen.model.emotion.state_dict())
    one, two = frozen.evaluate(), learning.evaluate()
    assert one["dev_loss"] != two["dev_loss"], "beams differ while it learns"
    alike = task(told, system(told, **SYSTEMS["asr_ser"], states__epoch_beam=2))
    alike.model.emotion.load_state_dict(frozen.model.emotion.state_dict())
    assert alike.evaluate()["dev_loss"] == pytest.approx(one["dev_loss"], rel=1e-5)
    assert frozen.model.recogniser is None


# what is heard


@pytest.mark.parametrize("decoder_state", ["state", "output"])
def test_together_and_one_by_one(told: Any, decoder_state: str) -> None:
    made = system(told, **SYSTEMS["asr_ser"], states__decoder_state=decoder_state)
    assert made.recogniser is not None
    model, vocabulary, states = made.recogniser.model, made.recogniser.vocabulary, made.config.states
    some = utterances(told, made)[:10]
    together = hear(model, vocabulary, some, states, states.search), follow(model, vocabulary, some, states)
    for one in some:
        alone = hear(model, vocabulary, [one], states, states.search), follow(model, vocabulary, [one], states)
        for a, b in zip(together, alone, strict=True):
            assert a[one.id].words == b[one.id].words
            torch.testing.assert_close(a[one.id].states, b[one.id].states)
    assert model.training is False


def test_states_of_hypotheses_are_those_of_reading_them(told: Any) -> None:
    """A decoder that is told its own hypothesis goes through the same states; the end symbol's is one of them."""
    made = system(told, **SYSTEMS["asr_ser"], states__search={"beam": 1, "max_tokens": 40})
    assert made.recogniser is not None
    recogniser, states = made.recogniser, made.config.states
    with torch.no_grad():
        recogniser.model.output.bias[1] += 1.0  # some end, some do not
    some = utterances(told, made)[:10]
    heard = hear(recogniser.model, recogniser.vocabulary, some, states, states.search)
    ids = recogniser.vocabulary.ids
    reread = [dataclasses.replace(u, words=tuple(heard[u.id].words)) for u in some]
    followed = follow(recogniser.model, recogniser.vocabulary, reread, states)
    ended = [u for u in some if heard[u.id].ended]
    assert ended
    for one in some:
        wanted = followed[one.id].states
        wanted = wanted if heard[one.id].ended else wanted[:-1]
        assert len(heard[one.id].states) == len(heard[one.id].words) + heard[one.id].ended
        if all(word in ids for word in heard[one.id].words):
            torch.testing.assert_close(heard[one.id].states, wanted)


def test_hypotheses_are_sought_once(told: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from sertools.emotion.joint_asr import hearing

    made = system(told, **SYSTEMS["asr_ser_frozen"])
    asked: list[int] = []
    real = hearing.beam_search

    def counted(model: Any, encoding: Any, *rest: Any) -> Any:
        asked.append(len(encoding.lengths))
        return real(model, encoding, *rest)

    monkeypatch.setattr(hearing, "beam_search", counted)
    monkeypatch.setattr(hearing, "BATCH_FRAMES", 200)
    some = utterances(told, made)
    assert isinstance(made.memory, Memory)
    made.memory.hypotheses(some[:6], "cpu")
    made.memory.states(some[2:9], "hypothesis", "cpu")
    made.memory.states(some[:9], "reference", "cpu")
    made.memory.states(some, "hypothesis", "cpu")
    made.memory.hypotheses(some, "cpu")
    assert sum(asked) == len(some)
    assert len(asked) > 1


def test_what_a_process_has_done_before_changes_nothing(
    told: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a process with many folds was killed: the next one begins with another fold."""
    from sertools.emotion.joint_asr import hearing

    monkeypatch.setattr(hearing, "BATCH_FRAMES", 100)
    folds = read_folds(told.folds)
    made = system(told, **SYSTEMS["asr_ser_frozen"])
    both = Experiment(always(made), folds, tmp_path / "both", (told.cuts,))
    assert len(list(train_runs(both, [RunId("Session1", 1), RunId("Session2", 1)]))) == 2
    made = system(told, **SYSTEMS["asr_ser_frozen"])
    alone = train_run(Experiment(always(made), folds, tmp_path / "alone", (told.cuts,)), "Session2", 1)
    for name in ("predictions.csv", "checkpoint/model.safetensors", "transcripts_before.csv"):
        assert (tmp_path / "both/fold_Session2/seed_1" / name).read_bytes() == (alone / name).read_bytes()


# words and batches


def spoken(name: str, *words: str, frames: int = 10, label: int = 0) -> Spoken:
    return Spoken(name, "s", "c", label, frames, torch.arange(frames).float()[:, None], words)


def test_words_as_ids() -> None:
    train = [spoken("a", "no", "tree", "no"), spoken("b", "tree", "no", "[laughter]"), spoken("c", "rare")]
    reader = WordReader.of(WordsConfig(min_count=2), train, None)
    assert reader.vocabulary.tokens == ("<UNK>", "<eos>", "no", "tree")
    ids, lengths = reader([*train, spoken("d")], "reference")
    assert ids.tolist() == [[2, 3, 2, 1], [3, 2, 1, 1], [0, 1, 1, 1], [1, 1, 1, 1]]
    assert lengths.tolist() == [4, 3, 2, 1], "the end symbol counts, so that no utterance is empty"
    again = WordReader.from_info(json.loads(json.dumps(reader.about())))
    assert torch.equal(again([*train, spoken("d")], "reference")[0], ids)
    assert events_as_words(["[breathing_in]", "no"]) == ["breathing", "in", "no"]
    heard = dataclasses.replace(train[0], recognised=("tree",))
    assert reader([heard], "asr")[0].tolist() == [[3, 1]]
    with pytest.raises(UserError, match="no recognised transcript of b"):
        reader([train[1]], "asr")


def test_batches() -> None:
    some = [spoken(f"u{n}", frames=5 + n) for n in range(23)]
    for generator in (None, torch.Generator().manual_seed(1)):
        batches = plan(some, 5, generator)
        assert sorted(i for batch in batches for i in batch) == list(range(23))
        assert sorted(map(len, batches)) == [3, 5, 5, 5, 5]
    assert plan(some, 5, None)[0] == [0, 1, 2, 3, 4]
    config = DataConfig(max_frames=8)
    first = collate(some, config, torch.Generator().manual_seed(0))
    assert first.lengths.tolist() == [min(5 + n, 8) for n in range(23)]
    assert first.audio[20, :, 0].tolist() == [float(n) for n in range(8)]
    anywhere = collate(some, dataclasses.replace(config, crop="random"), torch.Generator().manual_seed(0))
    starts = anywhere.audio[:, 0, 0]
    assert torch.equal(anywhere.audio[22, :, 0], torch.arange(8) + starts[22])
    assert float(starts.max()) > 0
    shared = collate(some, dataclasses.replace(config, crop="random"), torch.Generator().manual_seed(0),
                     Part(slice(1, None, 2), 23, True))  # fmt: skip
    assert torch.equal(shared.audio[:, 0, 0], starts[1::2])
    weights = balanced_weights([(0, 1.0), (0, 1.0), (0, 1.0), (1, 1.0)], 2)
    assert weights.tolist() == pytest.approx([4 / 6, 4 / 2])


# what is told, what is heard, and by which search


def trained_on(told: Any, dev: list[Spoken], **changes: Any) -> S4Task:
    made = system(told, **changes)
    return made.task(TARGET, utterances(told, made)[:12], dev, seed=3, device="cpu", group=SINGLE)


def test_nothing_is_learnt_from_dev(told: Any) -> None:
    """Moments of the audio, class weights, the vocabulary and the batches are of the training part."""
    changes = {"model__branches": ["audio", "words"], "data__class_weights": "balanced"}
    some = utterances(told, system(told, **changes))[12:18]
    strange = [dataclasses.replace(u, features=u.features + 100.0, label=0, words=("unheard",)) for u in some]
    one, other = trained_on(told, some, **changes), trained_on(told, strange, **changes)
    states = [made.model.state_dict() for made in (one, other)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert one.class_weights is not None
    assert torch.equal(one.class_weights, other.class_weights)  # type: ignore[arg-type]
    assert one.about() == other.about()
    assert {u.id for batch in other.batches(1, 0) for u in batch.utterances} == {
        u.id for u in utterances(told, system(told, **changes))[:12]
    }
    assert one.evaluate()["dev_loss"] != other.evaluate()["dev_loss"]


@pytest.mark.parametrize("learns", [True, False])
def test_on_test_the_decoder_is_not_told(
    told: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, learns: bool
) -> None:
    """Whatever was said in truth: the same states, the same probabilities; found by the search for test."""
    from sertools.emotion.joint_asr import hearing

    made = system(told, **SYSTEMS["asr_ser"], joint__train_recogniser=learns)
    directory = run(told, made, tmp_path)
    searches: list[BeamConfig] = []
    original = hearing.beam_search

    def beam_search(model: Any, encoding: Any, search: BeamConfig) -> Any:
        searches.append(search)
        return original(model, encoding, search)

    monkeypatch.setattr(hearing, "beam_search", beam_search)
    some = utterances(told, made)[:6]
    # a memory of its own, for it remembers what it has heard
    made._memory = Memory(made.memory.model, made.memory.vocabulary, made.config.states, some)
    honest = made.predict(directory, TARGET, {"test": some}, "cpu").outputs
    assert searches
    assert {search.beam for search in searches} == {2}
    other = [dataclasses.replace(u, words=("the", "tree", "the")) for u in some]
    made._memory = Memory(made.memory.model, made.memory.vocabulary, made.config.states, other)
    assert torch.equal(made.predict(directory, TARGET, {"test": other}, "cpu").outputs, honest)
    hinted = dataclasses.replace(made.config, states=dataclasses.replace(made.config.states, test="reference"))
    cheating = S4System(
        hinted, made.recogniser, None, Memory(made.memory.model, made.memory.vocabulary, hinted.states, some)
    )
    assert not torch.equal(cheating.predict(directory, TARGET, {"test": some}, "cpu").outputs, honest)


def test_hypotheses_in_training_are_sought_as_on_test(told: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without dropout, by the search of the epochs; what learns then goes on with dropout."""
    from sertools.emotion.joint_asr import hearing
    from sertools.emotion.joint_asr import task as training

    one = task(told, system(told, **SYSTEMS["asr_ser"], states__train="hypothesis"))
    assert one.model.recogniser is not None
    seen: list[tuple[bool, int]] = []
    original = training.beam_search

    def beam_search(model: Any, encoding: Any, search: BeamConfig) -> Any:
        seen.append((model.training, search.beam))
        return original(model, encoding, search)

    monkeypatch.setattr(training, "beam_search", beam_search)
    monkeypatch.setattr(hearing, "beam_search", beam_search)
    one.model.train()
    one.loss(next(one.batches(1, 0)))
    assert one.model.recogniser.training
    one.evaluate()
    assert {beam for _, beam in seen} == {1}
    assert not any(training for training, _ in seen)


def test_what_is_said_after_the_limit_is_not_heard_on_test(told: Any, tmp_path: Path) -> None:
    made = system(told, model__branches=["audio"])
    directory = run(told, made, tmp_path)
    some = utterances(told, made)[:8]
    longer = [dataclasses.replace(u, features=torch.cat([u.features[:20], 9.0 + u.features])) for u in some
              if len(u.features) >= 20]  # fmt: skip
    short = [dataclasses.replace(u, features=u.features[:20]) for u in some if len(u.features) >= 20]
    assert longer
    found = [made.predict(directory, TARGET, {"test": each}, "cpu").outputs for each in (longer, short)]
    torch.testing.assert_close(found[0], found[1])


def test_settings_of_the_recognisers_loss_count(told: Any) -> None:
    """Where all of the loss is recognition: it is linear in the smoothing."""
    losses = [
        gradients(task(told, system(told, **SYSTEMS["asr_ser"], joint__weight=1.0, joint__smoothing=smoothing), 4))[0]
        for smoothing in (0.0, 0.1, 0.2)
    ]
    assert losses[1] - losses[0] == pytest.approx(losses[2] - losses[1], rel=1e-6)
    assert abs(losses[1] - losses[0]) > 1e-3


def test_seeds_differ_and_repeat_in_s4(told: Any) -> None:
    made = system(told, model__branches=["audio"])
    some = utterances(told, made)

    def start(seed: int) -> tuple[Tensor, list[str]]:
        one = made.task(TARGET, some[:12], some[12:14], seed=seed, device="cpu", group=SINGLE)
        order = [u.id for batch in one.batches(1, 0) for u in batch.utterances]
        return one.model.emotion.output.weight.detach().clone(), order

    one, again, other = start(1), start(1), start(2)
    assert torch.equal(one[0], again[0])
    assert one[1] == again[1]
    assert not torch.equal(one[0], other[0])
    assert one[1] != other[1]


# mistakes


def test_mistakes(told: Any, tmp_path: Path) -> None:
    def config(**changes: Any) -> S4Config:
        return from_dict(S4Config, changed(SMALL, {key.replace("__", "."): v for key, v in changes.items()}))

    kind = find_kind("s4")
    with pytest.raises(UserError, match=r"needs --recogniser, .* made by the recogniser's training"):
        SystemMaker(kind, config(model__branches=["decoder_states"]), {})
    with pytest.raises(UserError, match="needs --transcripts"):
        SystemMaker(kind, config(**SYSTEMS["text_asr"]), {})
    with pytest.raises(UserError, match=r"takes features of dimension 6; set model\.feature_dim"):
        make_system(config(model__branches=["decoder_states"], model__feature_dim=40), told.recogniser, None)
    with pytest.raises(UserError, match="takes no --extractor; it takes --recogniser, --transcripts"):
        SystemMaker(kind, config(), {"extractor": tmp_path})
    with pytest.raises(UserError, match="features of dimension 6, the network takes 7"):
        run(told, system(told, model__feature_dim=7), tmp_path / "b")
    short = tmp_path / "transcripts.csv"
    short.write_text("id,speaker,reference,hypothesis,confidence\nutt00,spk0,no,no,\n")
    made = make_system(config(**SYSTEMS["text_asr"]), None, short)
    with pytest.raises(UserError, match=r"transcripts\.csv lacks 47 of the utterances"):
        run(told, made, tmp_path / "c")
    for values, message in (
        ({"data": {"mask_padding": False, "max_frames": 0}}, "mask_padding: false pads to max_frames"),
        ({"joint": {"weight": 1.5}}, "weight and smoothing must be in 0"),
    ):
        with pytest.raises(UserError, match=message):
            from_dict(S4Config, values)


def test_the_configuration_says_the_kind(told: Any, tmp_path: Path) -> None:
    path = tmp_path / "s4.yaml"
    path.write_text("system: s4\nmodel: {branches: [audio]}\n")
    made, inputs = load_system(path, ["data.batch_size=3"], {"recogniser": told.recogniser})(RunId("Session1", 1))
    assert isinstance(made, S4System)
    assert made.config.data.batch_size == 3
    assert made.recogniser is None, "what a system does not use is not read"
    assert inputs.hashes() == {}
    with pytest.raises(UserError, match="takes no --pretrained"):
        load_system(path, given={"pretrained": tmp_path})
    with pytest.raises(UserError, match=r"system must be one of tdnn, .*s4.*, not 's5'"):
        load_system(path, ["system=s5"])


def test_hypotheses_that_do_not_end_count(told: Any) -> None:
    made = system(told, **SYSTEMS["asr_ser"])
    assert made.recogniser is not None
    with torch.no_grad():
        made.recogniser.model.output.bias[1] -= 50.0
    found = hear(made.recogniser.model, made.recogniser.vocabulary, utterances(told, made)[:3], made.config.states,
                 BeamConfig(2, 4))  # fmt: skip
    assert [len(one.states) for one in found.values()] == [4, 4, 4]
    assert not any(one.ended for one in found.values())


@pytest.mark.parametrize("name", ["audio", "combined", "asr_ser", "asr_ser_frozen"])
def test_bfloat16_while_it_trains(told: Any, name: str) -> None:
    losses, dev = {}, {}
    for precision in ("float32", "bfloat16"):
        made = task(told, system(told, **SYSTEMS[name], model__dropout=0.0, precision=precision))
        for module in made.model.modules():
            if isinstance(module, UtteranceDropout):
                module.p = 0.0
        made.model.train()
        loss, _ = made.loss(next(made.batches(1, 0)))
        loss.backward()
        assert loss.dtype == torch.float32
        assert {p.grad.dtype for p in made.model.parameters() if p.grad is not None} == {torch.float32}
        losses[precision] = float(loss.detach())
        dev[precision] = made.evaluate()["dev_loss"]
    assert losses["bfloat16"] != losses["float32"]
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=0.02)
    assert dev["bfloat16"] == dev["float32"]
