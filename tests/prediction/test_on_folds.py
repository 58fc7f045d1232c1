"""A trained model on folds that did not train it: classes restricted, who was heard refused, stored predictions."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from invented_experiments import invented_folds
from lhotse import CutSet, MonoCut, Recording, SupervisionSegment
from quick_programs import Program
from soundfile import write

from sertools.errors import UserError
from sertools.evaluation.benchmark.grid import read_task
from sertools.packaged import find_model, packaged_model
from sertools.partitions.folds import Folds, write_folds
from sertools.partitions.target import Target
from sertools.prediction.kept import kept
from sertools.prediction.on_folds import (
    Known,
    Stored,
    read_known,
    remarks_of,
    table_of,
    takes_dev,
    to_predict,
    why_not,
)
from sertools.prediction.runs import find_runs
from sertools.runs.folder import INFO, NOT_RUN
from sertools.runs.predictions import make_predictions, read_predictions, write_predictions

TOLD = ("angry", "happy", "sad", "neutral")
FOLDS = invented_folds(corpus="mine")


def known(corpora: tuple[str, ...] = ("ravdess",), heard: tuple[str, ...] = (), **more: object) -> Known:
    target = Target("emotion", classes=TOLD)
    return Known("four", target, ("fold_a/seed_1",), frozenset(corpora), frozenset(heard), **more)  # type: ignore[arg-type]


def stored(folds: Folds, utterances: tuple[str, ...]) -> dict[str, Stored]:
    return {
        name: Stored(folds.corpus, str(folds.labels[name]), f"fold{n % 3}", np.array([0.1, 0.6, 0.1, 0.2]))
        for n, name in enumerate(utterances)
    }


def test_classes_that_the_task_does_not_have_are_left_out() -> None:
    model = known()
    assert why_not(model, FOLDS) == ""
    fold = FOLDS.folds[0]
    wanted = to_predict(model, FOLDS)
    # every utterance is tested once, and is dev of another fold
    assert (len(wanted), set(wanted)) == (72, set(FOLDS.labels))
    table = table_of(model, FOLDS, fold, dict.fromkeys(wanted, (0.2, 0.5, 0.1, 0.2)))
    assert table.classes == ("angry", "neutral", "sad")
    # by name, not by position; of sum 1
    np.testing.assert_allclose(table.outputs, np.tile([0.4, 0.4, 0.2], (36, 1)))
    assert set(table.select(part="test").utterances) == set(fold.test)
    assert set(table.select(part="dev").utterances) == set(fold.dev)
    assert any("it also tells happy" in line for line in remarks_of(model, FOLDS))
    with pytest.raises(UserError, match="gives no probability to angry, neutral, sad"):
        table_of(model, FOLDS, fold, dict.fromkeys(wanted, (0.0, 1.0, 0.0, 0.0)))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"classes": ("angry", "neutral", "sad", "fear")}, "it has no class fear, but angry, happy, sad, neutral"),
        ({"name": "gender"}, r"it tells angry, happy, sad, neutral \(emotion\), and the task is gender"),
    ],
)
def test_other_tasks_are_not_run(change: dict[str, object], words: str) -> None:
    target = replace(FOLDS.target, **change)  # type: ignore[arg-type]
    with pytest.raises(AssertionError, match=words):
        assert why_not(known(), replace(FOLDS, target=target)) == ""


def test_who_was_heard_is_not_tested() -> None:
    tested = FOLDS.folds[0].test
    # the corpus, by its name
    reason = why_not(known(("ravdess", "mine")), FOLDS)
    assert reason.startswith("it was trained on mine, which is tested, and of 72 of 72 tested utterances (the first: ")
    # the corpus under another name: by its utterances
    reason = why_not(known(heard=tested[:2]), FOLDS)
    assert f"of 2 of 72 tested utterances (the first: {tested[0]})" in reason
    # dev alone was heard: tested all the same, without dev
    cross = replace(FOLDS, folds=FOLDS.folds[:1], tested="some")
    model = known(heard=cross.folds[0].dev[:1])
    assert (why_not(model, cross), takes_dev(model, cross)) == ("", False)
    assert to_predict(model, cross) == cross.folds[0].test
    table = table_of(model, cross, cross.folds[0], dict.fromkeys(cross.folds[0].test, (0.25,) * 4))
    assert set(table.parts) == {"test"}


def test_stored_predictions_are_of_those_whom_a_network_had_not_heard() -> None:
    every = tuple(FOLDS.labels)
    model = known(("mine", "nemo"), stored=stored(FOLDS, every))
    assert (why_not(model, FOLDS), to_predict(model, FOLDS)) == ("", ())
    table = table_of(model, FOLDS, FOLDS.folds[1], {})
    np.testing.assert_allclose(table.outputs, np.tile([0.25, 0.5, 0.25], (36, 1)))
    (line,) = (line for line in remarks_of(model, FOLDS) if line.startswith("STORED"))
    for words in ("of 72 of 72 tested utterances: mine trained it", "of its recipe, of 3 folds",
                  "trained on mine and nemo", "not by what `sertools predict` applies"):  # fmt: skip
        assert words in line
    assert "of 1 of 72" in why_not(replace(model, stored=stored(FOLDS, every[1:])), FOLDS)
    # of another label, or another corpus, it is another utterance
    other = dict(model.stored)
    other[every[0]] = replace(other[every[0]], label="happy")
    other[every[1]] = replace(other[every[1]], corpus="theirs")
    assert "of 2 of 72" in why_not(replace(model, stored=other), FOLDS)


def test_words_of_the_tested_corpus_are_told() -> None:
    assert any(line.startswith("PRETRAINED ON mine") for line in remarks_of(known(speech=("mine",)), FOLDS))


def test_the_packaged_model_says_whom_it_has_heard(tmp_path: Path) -> None:
    model = packaged_model()
    found = read_known("four", model, find_runs(model))
    assert (found.target.classes, found.corpora) == (TOLD, {"ravdess", "nemo"})
    own = read_predictions(model / "predictions.csv")
    tested, dev = (own.select(part=part).utterances.tolist() for part in ("test", "dev"))
    assert not found.utterances.intersection(tested)
    assert found.utterances.issuperset(dev)
    assert found.stored.keys() >= set(tested)
    assert find_model("four") == model
    with pytest.raises(UserError, match=r"none is no packaged model \(four\) and no folder of an experiment"):
        find_model("none")
    silent = tmp_path / "run"
    write_predictions(silent / "predictions.csv", own)
    (silent / "checkpoint").mkdir()
    (silent / INFO).write_text(json.dumps({"classes": TOLD, "corpus": "ravdess"}))
    with pytest.raises(UserError, match="does not say what it was trained on"):
        read_known("x", silent, {"run": silent})


@pytest.fixture
def corpus(tmp_path: Path) -> Folds:
    """Noise of two speakers a fold, four seconds in all; cuts.jsonl and folds.json."""
    labels = {f"u{n}": FOLDS.classes[n % 3] for n in range(24)}
    cuts = []
    for n, name in enumerate(labels):
        write(tmp_path / f"{name}.wav", np.random.default_rng(n).normal(0, 0.1, 8000), 16000)
        recording = Recording.from_file(tmp_path / f"{name}.wav", recording_id=name)
        told = SupervisionSegment(name, name, 0.0, recording.duration, speaker=f"s{n // 6}")
        cuts.append(MonoCut(name, 0.0, recording.duration, 0, [told], recording=recording))
    CutSet.from_cuts(cuts).to_file(tmp_path / "cuts.jsonl")
    parts = [tuple(sorted(name for name in labels if int(name[1:]) // 6 == speaker)) for speaker in range(4)]
    folds = replace(
        FOLDS, labels=labels, speakers={name: f"s{int(name[1:]) // 6}" for name in labels},
        folds=tuple(
            replace(FOLDS.folds[n], test=parts[n], dev=parts[n - 1], train=tuple(sorted(parts[n - 2] + parts[n - 3])))
            for n in range(4)
        ),
    )  # fmt: skip
    write_folds(tmp_path / "folds", folds)
    return folds


def test_the_program(corpus: Folds, tmp_path: Path, program: Program) -> None:
    out = tmp_path / "exp/four"

    def run() -> str:
        done = program("predict_folds.py", "--model", "four", "--folds", tmp_path / "folds", "--cuts",
                       tmp_path / "cuts.jsonl", out)  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "4 folds" in run()
    assert "is up to date" in run()
    # one seed is all there is, whatever the others have
    (row,) = read_task("mine", corpus, {"four": out}, [], (1, 2, 3)).rows
    assert (row.test.num_utterances, row.test.seeds, row.cost.minutes) == (24, (1,), None)
    assert row.cost.parameters is not None
    assert row.cost.parameters > 100_000
    # what was predicted is predicted no more: of a killed run, or for other folds
    lines = (out / "predicted.jsonl").read_text().splitlines(keepends=True)
    assert len(lines) == 25
    told = json.loads(lines[1])
    (out / "predicted.jsonl").write_text(lines[0] + json.dumps([told[0], 1.0, 0.0, 0.0, 0.0]) + "\n")
    (out / f"fold_{corpus.folds[0].name}/seed_1/stamp.json").unlink()
    run()
    table = read_predictions(sorted(out.glob("*/*/predictions.csv")))
    assert table.outputs[table.utterances == told[0]].tolist() == [[1.0, 0.0, 0.0]] * 2
    assert (table.outputs.max(axis=1) == 1).sum() == 2
    # other folds: made anew, and what is no fold any more is gone
    fewer = replace(corpus, folds=corpus.folds[:2], tested="some")
    write_folds(tmp_path / "folds", fewer)
    assert "input folds changed" in run()
    assert sorted(path.name for path in out.glob("fold_*")) == sorted(f"fold_{fold.name}" for fold in fewer.folds)
    # a corpus that trained it is not run: nothing of before is left
    write_folds(tmp_path / "folds", replace(fewer, corpora=("nemo",)))
    assert "is not run on" in run()
    assert not list(out.glob("fold_*"))
    with pytest.raises(UserError, match="four: not run: it was trained on nemo, which is tested"):
        read_task("mine", fewer, {"four": out}, [], (1,))
    write_folds(tmp_path / "folds", fewer)
    run()
    assert not (out / NOT_RUN).exists()
    CutSet.from_cuts(list(CutSet.from_file(tmp_path / "cuts.jsonl"))[1:]).to_file(tmp_path / "cuts.jsonl")
    done = program("predict_folds.py", "--model", "four", "--folds", tmp_path / "folds", "--cuts",
                   tmp_path / "cuts.jsonl", out)  # fmt: skip
    assert (done.returncode, "1 utterances of " in done.stderr) == (1, True), done.stderr


def test_what_was_predicted_is_kept_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "predicted.jsonl"
    with kept(path, "a") as some:
        some.add("u1", (0.25, 0.75))
        some.add("ü2", (0.5, 0.5))
    whole = path.read_text()
    # killed in the middle of a line: it is as if it had not begun
    for cut, left in ((1, {"u1"}), (0, {"u1", "ü2"})):
        path.write_text(whole[: len(whole) - cut])
        with kept(path, "a") as some:
            assert some.found.keys() == left
            some.add("u3", (1.0, 0.0))
        with kept(path, "a") as some:
            assert some.found["u1"] == (0.25, 0.75)
            assert some.found.keys() == left | {"u3"}
    with kept(path, "b") as some:
        assert some.found == {}
    with kept(path, "a") as some:
        assert some.found == {}


def model_of(folder: Path, config: dict[str, object], dev: tuple[str, ...] = (), **told: object) -> Path:
    """A run of the invented folds' first fold, without weights; ``dev``: utterances of its dev part."""
    fold = FOLDS.folds[0]
    rows = [*((u, "test") for u in fold.test if u not in dev), *((u, "dev") for u in dev)]
    names = [u for u, _ in rows]
    write_predictions(folder / "predictions.csv", make_predictions(
        TOLD, utterances=names, speakers=[FOLDS.speakers[u] for u in names], corpora="mine",
        parts=[part for _, part in rows], folds="a", seeds=1, labels=[str(FOLDS.labels[u]) for u in names],
        outputs=np.tile([0.1, 0.2, 0.3, 0.4], (len(rows), 1)),
    ))  # fmt: skip
    (folder / "checkpoint").mkdir()
    (folder / "checkpoint/config.yaml").write_text(yaml.safe_dump(config))
    (folder / INFO).write_text(json.dumps({"classes": TOLD, "corpus": "mine", "trained_on": fold.train} | told))
    return folder


def test_what_it_was_carried_from_has_been_heard(tmp_path: Path) -> None:
    config = {"system": "cnn14", "transfer": {"start": "source"}}
    silent = model_of(tmp_path / "silent", config, inputs={"source": "a hash"})
    with pytest.raises(UserError, match=r"does not say what trained the network that it was carried from \(source\)"):
        read_known("x", silent, {"run": silent})
    told = model_of(tmp_path / "told", config, inputs={"source": "a hash"}, carried_from=["theirs"])
    found = read_known("x", told, {"run": told})
    assert found.corpora == {"mine", "theirs"}
    assert why_not(found, replace(FOLDS, corpora=("theirs",))).startswith("it was trained on theirs, which is tested")


def test_stored_predictions_of_speakers_who_were_heard_are_none(tmp_path: Path) -> None:
    fold = FOLDS.folds[0]
    apart = model_of(tmp_path / "apart", {"system": "tdnn"}, dev=fold.dev)
    assert read_known("x", apart, {"run": apart}).stored.keys() == set(fold.test)
    # a speaker of dev is tested
    both = tuple(u for u, speaker in FOLDS.speakers.items() if speaker == FOLDS.speakers[fold.test[0]])
    dependent = model_of(tmp_path / "dependent", {"system": "tdnn"}, dev=both[:1])
    assert read_known("x", dependent, {"run": dependent}).stored == {}


def test_what_is_said_of_the_model_is_said_here(tmp_path: Path) -> None:
    model = model_of(tmp_path / "model", {"system": "tdnn"}, remarks=["NORMALISED BY SPEAKER: so"])
    said = remarks_of(read_known("x", model, {"run": model}), replace(FOLDS, corpora=("theirs",)))
    assert "of its own training: NORMALISED BY SPEAKER: so" in said


def test_no_trained_run_is_taken_away(corpus: Folds, tmp_path: Path, program: Program) -> None:
    out = model_of(tmp_path / "exp/trained/fold_a/seed_1", {"system": "tdnn"}).parents[1]
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    done = program("predict_folds.py", "--model", "four", "--folds", tmp_path / "folds", "--cuts",
                   tmp_path / "cuts.jsonl", out)  # fmt: skip
    assert done.returncode == 1
    assert "fold_a/seed_1 is a run that this program has not made; give a folder of its own as OUT" in done.stderr
    assert before.items() <= {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}.items()


def test_stored_predictions_lie_beside_the_model(corpus: Folds, tmp_path: Path, program: Program) -> None:
    """Nothing is heard: the cuts' audio may be gone."""
    model = tmp_path / "models/mine"
    names = sorted(corpus.labels)
    table = make_predictions(
        TOLD, utterances=names, speakers=[corpus.speakers[u] for u in names], corpora="mine", parts="test",
        folds=[f"fold{corpus.speakers[u]}" for u in names], seeds=1, labels=[str(corpus.labels[u]) for u in names],
        outputs=np.tile([0.1, 0.2, 0.3, 0.4], (24, 1)),
    )  # fmt: skip
    write_predictions(model / "tested.csv", table)
    write_predictions(model / "predictions.csv", table.rows(np.arange(6)))
    (model / "checkpoint").mkdir()
    (model / "checkpoint/config.yaml").write_text(yaml.safe_dump({"system": "tdnn"}))
    told = {"classes": TOLD, "corpus": "mine", "trained_on": names[6:]}
    (model / INFO).write_text(json.dumps(told))
    for path in tmp_path.glob("*.wav"):
        path.unlink()
    done = program("predict_folds.py", "--model", model, "--folds", tmp_path / "folds", "--cuts",
                   tmp_path / "cuts.jsonl", tmp_path / "exp/mine")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "STORED PREDICTIONS of 24 of 24 tested utterances" in done.stdout
    found = read_predictions(sorted((tmp_path / "exp/mine").glob("*/*/predictions.csv")))
    np.testing.assert_allclose(found.outputs, np.tile([1 / 8, 4 / 8, 3 / 8], (len(found), 1)))
