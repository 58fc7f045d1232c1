"""S2's systems: sources of the same fold, frozen columns that stay what they are, controls."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from vector_corpus import make_vector_corpus

from sertools.emotion.experiment import Experiment, train_runs
from sertools.emotion.kinds import load_system
from sertools.emotion.origins import check_not_heard
from sertools.emotion.progressive import system
from sertools.emotion.system import RunId
from sertools.errors import UserError
from sertools.partitions.folds import read_folds
from sertools.runs.predictions import read_predictions
from sertools.training.checkpoint import load_checkpoint
from sertools.training.loop import Stopped

SMALL = ["system=progressive", "model.hidden=[8, 8]", "model.dropout=0.2", "training.epochs=25",
         "training.learning_rate=0.02", "training.batch_size=16"]  # fmt: skip
RUNS = [RunId("Session1", 1), RunId("Session3", 1), RunId("Session3", 2)]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cuts, folds, and a gender experiment whose runs are sources."""
    directory = tmp_path_factory.mktemp("vectors")
    make_vector_corpus(directory)
    train(directory, "source", [], folds="gender")
    return directory


def train(
    corpus: Path, name: str, overrides: list[str], given: Mapping[str, Path] | None = None, folds: str = "folds",
    runs: list[RunId] = RUNS,
) -> list[Path]:  # fmt: skip
    maker = load_system(None, [*SMALL, *overrides], dict(given or {}))
    experiment = Experiment(maker, read_folds(corpus / folds), corpus / name, (corpus / "cuts.jsonl.gz",))
    return list(train_runs(experiment, runs))


def source(corpus: Path) -> dict[str, Path]:
    return {"gender": corpus / "source" / "fold_FOLD" / "seed_SEED" / "checkpoint"}


def test_a_plain_network_learns(corpus: Path) -> None:
    runs = train(corpus, "dnn", [])
    for run in runs:
        table = read_predictions(run / "predictions.csv").select(part="test")
        assert (table.recognised == table.labels).mean() > 0.55
    # another seed of the fold is another network
    one, other = (load_checkpoint(run / "checkpoint").weights["column.layers.0.weight"] for run in runs[1:])
    assert not torch.allclose(one, other)
    info = load_checkpoint(runs[0] / "checkpoint").info
    assert (runs[0] / "history.jsonl").read_text().count("\n") == 25
    assert info["best_epoch"] >= 1


def test_runs_together_are_runs_alone(corpus: Path) -> None:
    together = train(corpus, "together", ["training.epochs=4"])
    for run, directory in zip(RUNS, together, strict=True):
        (alone,) = train(corpus, f"alone_{run.fold}_{run.seed}", ["training.epochs=4"], runs=[run])
        one, other = (load_checkpoint(place / "checkpoint").weights for place in (directory, alone))
        assert one.keys() == other.keys()
        assert all(torch.allclose(one[name], other[name], atol=1e-5) for name in one)


def test_progressive_columns(corpus: Path) -> None:
    runs = train(corpus, "prognet", ["method=progressive", "sources=[gender]"], source(corpus))
    for run, directory in zip(RUNS, runs, strict=True):
        weights = load_checkpoint(directory / "checkpoint").weights
        theirs = load_checkpoint(corpus / f"source/fold_{run.fold}/seed_{run.seed}/checkpoint").weights
        # frozen to the bit, and of the run's own fold and seed
        for name, value in theirs.items():
            if name.startswith("column."):
                assert torch.equal(weights[name.replace("column.", "source.0.")], value)
        assert weights["column.laterals.0.out.weight"].shape == (1, 8, 8)
    # what the source has heard is told, and what that began from
    own = json.loads((corpus / f"source/fold_{RUNS[0].fold}/seed_{RUNS[0].seed}/checkpoint/info.json").read_text())
    told = json.loads((runs[0] / "checkpoint/info.json").read_text())
    assert ("carried_from" in own, told["carried_from"]) == (False, [own["corpus"]])
    # another source changes the stamp: trained again
    train(corpus, "brief", ["training.epochs=3"], folds="gender", runs=RUNS[:1])
    other = {"gender": corpus / "brief/fold_FOLD/seed_SEED/checkpoint"}
    before = (runs[0] / "predictions.csv").read_text()
    train(corpus, "prognet", ["method=progressive", "sources=[gender]"], other, runs=RUNS[:1])
    assert (runs[0] / "predictions.csv").read_text() != before


def test_a_source_that_has_heard_the_tested_is_refused(corpus: Path, tmp_path: Path) -> None:
    settings = ["method=progressive", "sources=[gender]", "training.epochs=1"]
    wrong = {"gender": corpus / "source/fold_Session3/seed_1/checkpoint"}
    with pytest.raises(
        UserError, match=r"was trained on 24 utterances \(utt00\) that fold Session1 tests; give the source"
    ):
        train(corpus, "leak", settings, wrong, runs=RUNS[:1])
    assert not (corpus / "leak/fold_Session1/seed_1/checkpoint").exists()
    copy = tmp_path / "seed_1"
    shutil.copytree(corpus / "source/fold_Session1/seed_1", copy)
    info = json.loads((copy / "checkpoint/info.json").read_text())
    fold = read_folds(corpus / "folds").folds[0]
    assert (info["trained_on"], info["chosen_on"]) == (list(fold.train), list(fold.dev))

    def refused(**changes: object) -> str:
        (copy / "checkpoint/info.json").write_text(json.dumps({**info, **changes}))
        with pytest.raises(UserError) as raised:
            check_not_heard(copy / "checkpoint", read_folds(corpus / "folds"), fold)
        return str(raised.value)

    assert "chose its epoch by an utterance" in refused(chosen_on=[fold.test[0]])
    assert "Session1 chooses its epoch by" in refused(trained_on=[fold.dev[0], fold.train[0]])
    del info["trained_on"]
    assert "does not say what it was trained on" in refused()
    # the same names in another corpus are other utterances
    info |= {"trained_on": list(fold.test), "corpus": "other"}
    (copy / "checkpoint/info.json").write_text(json.dumps(info))
    check_not_heard(copy / "checkpoint", read_folds(corpus / "folds"), fold)


def test_fine_tuning_and_controls(corpus: Path) -> None:
    (run, *_) = train(corpus, "ptft", ["method=finetune", "sources=[gender]", "training.learning_rate=1e-9"],
                      source(corpus))  # fmt: skip
    own = load_checkpoint(run / "checkpoint").weights
    theirs = load_checkpoint(corpus / "source/fold_Session1/seed_1/checkpoint").weights
    # hidden layers begin as the source's, the output layer is new
    for layer in (0, 1):
        name = f"column.layers.{layer}.weight"
        assert torch.allclose(own[name], theirs[name], atol=1e-5)
    assert own["column.layers.2.weight"].shape == (1, 8, 3)
    (random, *_) = train(corpus, "random", ["method=progressive", "random_sources=1", "training.epochs=2"])
    assert "source.0.layers.0.weight" in load_checkpoint(random / "checkpoint").weights
    (probe, *_) = train(corpus, "probe", ["method=probe", "sources=[gender]", "training.epochs=2"], source(corpus))
    assert load_checkpoint(probe / "checkpoint").weights["column.layers.0.weight"].shape == (1, 16, 3)
    (multi, *_) = train(corpus, "multitask", ["multitask={field: speaker}", "training.epochs=2"])
    assert load_checkpoint(multi / "checkpoint").weights["column.layers.2.weight"].shape == (1, 8, 3 + 8)
    assert read_predictions(multi / "predictions.csv").probabilities.shape[1] == 3


def test_the_second_output_has_its_weight(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[float, ...]] = []
    monkeypatch.setattr(system, "train_stack", lambda stack, *_, **__: seen.append(stack.head_weights))
    with pytest.raises(Stopped):
        train(corpus, "weight", ["multitask={field: speaker, weight: 0.7}"], runs=RUNS[:1])
    assert seen == [(1.0, 0.7)]


def test_statistics_of_the_corpus_are_said(corpus: Path) -> None:
    (run, *_) = train(corpus, "corpus", ["normalise=corpus", "training.epochs=1"])
    assert "tested utterances among them" in load_checkpoint(run / "checkpoint").info["remarks"][0]
    whole, part = (load_checkpoint(corpus / name / "fold_Session1/seed_1/checkpoint").weights["mean"]
                   for name in ("corpus", "dnn"))  # fmt: skip
    assert not torch.allclose(whole, part)


@pytest.mark.parametrize(
    ("overrides", "given", "message"),
    [
        (["method=progressive", "sources=[gender]"], {}, "needs --gender, a network of the same kind"),
        (["method=progressive"], {}, "needs sources"),
        (["sources=[gender]"], {}, "method: plain has no sources"),
        (["method=finetune", "sources=[a, b]"], {}, "starts from one source"),
        (["method=progressive", "sources=[gender]", "model.hidden=[8]"], None, "2 hidden layers, this network 1"),
        (["method=finetune", "sources=[gender]", "model.hidden=[8, 9]"], None, "to start from it they must be equal"),
    ],
)
def test_what_does_not_fit_is_said(
    corpus: Path, overrides: list[str], given: dict[str, Path] | None, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        train(corpus, "bad", overrides, source(corpus) if given is None else given, runs=RUNS[:1])
