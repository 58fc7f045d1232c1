"""What S4's recogniser hears: in training, of dev and of test, told or sought."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from small_s4 import SYSTEMS, TARGET, run, system, task, utterances

from sertools.decoding.beam_search import BeamConfig
from sertools.emotion.experiment import Experiment, always, train_run, train_runs
from sertools.emotion.joint_asr.data import Spoken
from sertools.emotion.joint_asr.hearing import Memory, follow, hear
from sertools.emotion.joint_asr.system import S4System
from sertools.emotion.joint_asr.task import S4Task
from sertools.emotion.system import RunId
from sertools.partitions.folds import read_folds
from sertools.training.distributed import SINGLE


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


def test_hypotheses_that_do_not_end_count(told: Any) -> None:
    made = system(told, **SYSTEMS["asr_ser"])
    assert made.recogniser is not None
    with torch.no_grad():
        made.recogniser.model.output.bias[1] -= 50.0
    found = hear(made.recogniser.model, made.recogniser.vocabulary, utterances(told, made)[:3], made.config.states,
                 BeamConfig(2, 4))  # fmt: skip
    assert [len(one.states) for one in found.values()] == [4, 4, 4]
    assert not any(one.ended for one in found.values())
