"""Self-training from end to end: a teacher on a few labels, its guesses, a student of any kind on both."""

import csv
import dataclasses
import json
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lhotse import CutSet
from lhotse.utils import fastcopy
from nearest_mean import NearestMean, NearestMeanConfig
from vector_corpus import CLASSES, make_vector_corpus

from sertools.emotion.experiment import Experiment, run_directory, train_runs
from sertools.emotion.kinds import KINDS, SystemMaker, find_kind, load_system
from sertools.emotion.system import Predicted, RunId
from sertools.errors import UserError
from sertools.evaluation.curve.amounts import UTTERANCES
from sertools.evaluation.score.scoring import evaluate
from sertools.manifests import read_cuts, write_cuts
from sertools.partitions.copies import with_copies
from sertools.partitions.folds import Folds, read_folds, write_folds
from sertools.partitions.subsets import Subset, subsets
from sertools.provenance import Stamp, write_stamp
from sertools.runs.folder import read_run
from sertools.runs.predictions import read_predictions
from sertools.training.checkpoint import load_checkpoint

LOCAL = str(Path(__file__).parents[2] / "local")
HEAD = ["system=features_head", "features=[functionals]", "head_dim=0", "training.epochs=3", "data.batch_frames=32",
        "training.optimizer=adam", "training.learning_rate=0.05"]  # fmt: skip
SVM = ["system=svm", "costs=[1.0]"]
STACK = ["system=progressive", "model.hidden=[8, 8]", "training.epochs=4", "training.learning_rate=0.02",
         "training.batch_size=16"]  # fmt: skip
NEAREST = ["system=nearest_mean", "features=[functionals]"]
SYSTEMS = {"head": HEAD, "svm": SVM, "stack": STACK, "nearest": NEAREST}

Guesser = Callable[..., Path]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cuts and folds of 96 utterances; ``little`` trains on a quarter of each class; ``head`` is a teacher on these."""
    directory = tmp_path_factory.mktemp("corpus")
    cuts, folds, _ = make_vector_corpus(directory)
    # what is known of features goes into the checkpoint
    write_stamp(directory, Stamp({"functionals": {"set": "toy"}}), [cuts.name])
    whole = read_folds(folds)
    some, _ = subsets(whole.folds, whole.labels, Subset(0.25))
    write_folds(directory / "little", dataclasses.replace(whole, folds=some))
    train(directory, HEAD, "little", "head", seeds=(1, 2))
    return directory


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kind of systems that is not ours, and cannot be applied to audio."""
    monkeypatch.setitem(KINDS, "nearest_mean", "nearest_mean")


@pytest.fixture
def guess(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> Guesser:
    """guess_labels.py in this process; the folder that it writes."""
    monkeypatch.syspath_prepend(LOCAL)
    import guess_labels

    def run(
        teacher: Path, out: Path, *more: object, whole: bool = True, folds: Path = corpus / "little",
        cuts: Path = corpus / "cuts.jsonl.gz",
    ) -> Path:  # fmt: skip
        known = ["--all", corpus / "folds"] if whole else []
        arguments = ["--folds", folds, *known, "--cuts", cuts, *more, teacher, out]
        monkeypatch.setattr(sys, "argv", ["guess_labels.py", "--device", "cpu", *map(str, arguments)])
        guess_labels.main()
        return out

    return run


def train(
    corpus: Path, settings: Sequence[str], folds: Path | str | Folds, out: Path | str, seeds: Sequence[int] = (1,)
) -> Path:
    folds = folds if isinstance(folds, Folds) else read_folds(corpus / folds)
    experiment = Experiment(load_system(None, settings), folds, corpus / out, (corpus / "cuts.jsonl.gz",))
    for _ in train_runs(experiment, [RunId(fold.name, seed) for fold in folds.folds for seed in seeds]):
        pass
    return corpus / out


def rows_of(out: Path) -> list[dict[str, str]]:
    with open(out / "guesses.csv", newline="") as stream:
        return list(csv.DictReader(stream))


def files(directory: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_guesses_are_the_mean_of_the_seeds(
    corpus: Path, guess: Guesser, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    before = files(corpus / "head")
    out = guess(corpus / "head", tmp_path / "guessed", "--share", "0.5")
    assert files(corpus / "head") == before, "a teacher is not touched"
    folds, whole, little = read_folds(out), read_folds(corpus / "folds"), read_folds(corpus / "little")
    rows = rows_of(out)
    config = load_checkpoint(corpus / "head/fold_Session1/seed_1/checkpoint").config
    kind = find_kind("features_head")
    system = kind.make(kind.read({k: v for k, v in config.items() if k not in ("fold", "seed")}, ""), {})
    read = system.read([corpus / "cuts.jsonl.gz"], dict.fromkeys(whole.labels, 0))
    for fold, known, full in zip(folds.folds, little.folds, whole.folds, strict=True):
        assert (fold.dev, fold.test) == (known.dev, known.test)
        names = sorted(set(full.train) - set(known.train))
        runs = [corpus / f"head/fold_{fold.name}/seed_{seed}" for seed in (1, 2)]
        assert len(names) > 30
        outputs = []
        for run in runs:
            order, values = system.trained(run, whole.target, "cpu")([read[name] for name in names])
            place = {one.id: row for row, one in enumerate(order)}
            outputs.append(values[[place[name] for name in names]].numpy())
        assert not np.allclose(*outputs), "two seeds"
        mean = np.mean(outputs, 0)
        own = [row for row in rows if row["fold"] == fold.name]
        assert [row["utterance"] for row in own] == names
        assert [row["guess"] for row in own] == [CLASSES[n] for n in mean.argmax(1)]
        assert [float(row["confidence"]) for row in own] == pytest.approx(mean.max(1), abs=2e-6)
        for name in CLASSES:
            of_class = sorted((-float(r["confidence"]), r["utterance"]) for r in own if r["guess"] == name)
            half = {utterance for _, utterance in of_class[: (len(of_class) + 1) // 2]}
            assert {u for u, label in fold.guessed.items() if label == name} == half
            assert {r["utterance"] for r in own if r["chosen"] == "1" and r["guess"] == name} == half
        assert fold.train == tuple(sorted({*known.train, *fold.guessed}))
        assert all(row["right"] == str(int(whole.labels[row["utterance"]] == row["guess"])) for row in own)
    right = [row for row in rows if row["right"] == "1"]
    assert f"right of those made: {100 * len(right) / len(rows):.1f} % of {len(rows)} (angry" in caplog.text
    assert "SELF-TRAINED: of the" in caplog.text
    # one seed guesses otherwise
    assert [r["confidence"] for r in rows_of(guess(corpus / "head", tmp_path / "one", "--num-seeds", 1))] != [
        r["confidence"] for r in rows
    ]


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_student_learns_the_guesses_and_is_scored_by_the_truth(
    corpus: Path, guess: Guesser, tmp_path: Path, name: str
) -> None:
    """It is what it were if the guesses were labels; each kind is taught by itself."""
    settings = SYSTEMS[name]
    teacher = train(corpus, settings, "little", tmp_path / "teacher")
    folds = read_folds(guess(teacher, tmp_path / "guessed", "--share", 1))
    student = train(corpus, settings, folds, tmp_path / "student")
    wrong = 0
    for fold in folds.folds:
        wrong += sum(folds.labels[utterance] != label for utterance, label in fold.guessed.items())
        told = dataclasses.replace(fold, guessed={})
        alone = dataclasses.replace(folds, folds=(told,), labels=folds.labels | fold.guessed, tested="some")
        train(corpus, settings, alone, tmp_path / "told")
        tables = [read_predictions(place / f"fold_{fold.name}/seed_1/predictions.csv")
                  for place in (student, tmp_path / "told")]  # fmt: skip
        assert tables[0].utterances.tolist() == tables[1].utterances.tolist()
        assert tables[0].probabilities == pytest.approx(tables[1].probabilities, abs=1e-5)
        labels = [folds.labels[utterance] for utterance in tables[0].utterances]
        assert [tables[0].label_of(row) for row in range(len(labels))] == labels
        info = load_checkpoint(student / f"fold_{fold.name}/seed_1/checkpoint").info
        assert info["guessed"] == sorted(fold.guessed)
        assert info["trained_on"] == list(fold.train)
    assert wrong > 10, "guesses that are all right would show nothing"


def test_rounds_and_staleness(corpus: Path, guess: Guesser, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    teacher = train(corpus, SVM, "little", tmp_path / "teacher")
    first = guess(teacher, tmp_path / "first")
    student = train(corpus, SVM, read_folds(first), tmp_path / "student")
    second = guess(student, tmp_path / "second", "--share", 1)
    one, two = read_folds(first), read_folds(second)
    whole = read_folds(corpus / "folds")
    for before, after, full in zip(one.folds, two.folds, whole.folds, strict=True):
        assert after.train == full.train
        assert before.guessed.keys() < after.guessed.keys()
    anew = [rows_of(guess(teacher, tmp_path / "all", "--share", 1)), rows_of(second)]
    assert [row["utterance"] for row in anew[0]] == [row["utterance"] for row in anew[1]]
    assert [row["guess"] for row in anew[0]] != [row["guess"] for row in anew[1]], "the student guesses for itself"
    evaluate(student, tmp_path / "results", one)
    for page in ("results.txt", "report.html"):
        assert "SELF-TRAINED: of the" in (tmp_path / "results" / page).read_text()
    # a curve is over labelled utterances: teacher and student stand at one place
    run = "fold_Session1/seed_1"
    table = read_predictions(teacher / run / "predictions.csv")
    amounts = [UTTERANCES.of(read_run(run, place / run), table) for place in (teacher, student)]
    assert amounts[0] == amounts[1] == len(read_folds(corpus / "little").folds[0].train) / len(CLASSES)
    caplog.clear()
    guess(teacher, first)
    assert "is up to date" in caplog.text
    caplog.clear()
    guess(teacher, first, "--share", 0.25)
    assert "share: 0.5 -> 0.25" in caplog.text
    train(corpus, ["system=svm", "costs=[0.01]"], "little", tmp_path / "teacher")
    caplog.clear()
    guess(teacher, first, "--share", 0.25)
    assert "input teacher fold_Session1/seed_1 changed" in caplog.text
    # the student is trained again, since the guesses changed
    caplog.clear()
    train(corpus, SVM, read_folds(first), tmp_path / "student")
    assert "input guessed changed" in caplog.text


def test_a_teacher_that_knows_too_much_or_too_little(corpus: Path, guess: Guesser, tmp_path: Path) -> None:
    def refused(teacher: Path, message: str, *more: object, **others: Any) -> None:
        with pytest.raises(UserError, match=message):
            guess(teacher, tmp_path / "out", *more, **others)
        assert not (tmp_path / "out/folds.json").exists()

    little, whole = read_folds(corpus / "little"), read_folds(corpus / "folds")
    knows = train(corpus, SVM, "folds", tmp_path / "knows")
    refused(knows, "was told the labels of 3. utterances .* do not train in fold Session1")
    # dev of one fold is tested in another
    turned = tuple(dataclasses.replace(f, dev=f.test, test=f.dev) for f in little.folds)
    chose = train(corpus, SVM, dataclasses.replace(little, folds=turned), tmp_path / "chose")
    refused(chose, "chose its epoch by 24 utterances .* that fold Session1 tests")
    # dev has more than the folds have: labels that nobody may know chose its epoch
    more = tuple(
        dataclasses.replace(f, dev=tuple(sorted({*f.dev, min(set(w.train) - set(f.train))})))
        for f, w in zip(little.folds, whole.folds, strict=True)
    )
    dependent = dataclasses.replace(little, folds=more, speaker_dependent=True)
    chose = train(corpus, SVM, dependent, tmp_path / "chose_more")
    refused(chose, "chose its epoch by the labels of 1 utterances .* that are not dev in fold Session1")
    part = dataclasses.replace(little, folds=little.folds[:2], tested="some")
    refused(train(corpus, SVM, part, tmp_path / "part"), "has no run of fold Session3; train it first")
    shutil.copytree(corpus / "head", tmp_path / "mixed")
    train(corpus, [*HEAD, "training.epochs=2"], part, tmp_path / "mixed")
    refused(tmp_path / "mixed", "differs from the other runs in its configuration")
    shutil.copytree(corpus / "head", tmp_path / "table", ignore=shutil.ignore_patterns("checkpoint", "stamp.json"))
    refused(tmp_path / "table", "has no checkpoint that could be applied")
    gender = read_folds(corpus / "gender")
    of_gender = dataclasses.replace(gender, folds=whole.folds)
    refused(train(corpus, SVM, of_gender, tmp_path / "gender"), "predicts another target or other classes")
    write_folds(tmp_path / "other_target", of_gender)
    arguments = ["--all", tmp_path / "other_target"]
    refused(corpus / "head", "has another target or other classes than .*little", *arguments, whole=False)
    refused(corpus / "head", "--share must be above 0 and at most 1", "--share", 1.5)
    guessed = guess(corpus / "head", tmp_path / "guessed")
    refused(corpus / "head", "has guessed labels; give the folds that the first teacher", folds=guessed)


def test_a_teacher_that_was_taught_copies_may_guess(corpus: Path, guess: Guesser, tmp_path: Path) -> None:
    """A copy of a labelled utterance is no label of another."""
    cuts = list(read_cuts(corpus / "cuts.jsonl.gz"))
    copies = [
        fastcopy(cut, id=f"{cut.id}_slow", supervisions=[fastcopy(cut.supervisions[0], id=f"{cut.id}_slow")])
        for cut in cuts
    ]
    write_cuts([*cuts, *copies], tmp_path / "cuts.jsonl.gz")
    write_stamp(tmp_path, Stamp({"functionals": {"set": "toy"}}), ["cuts.jsonl.gz"])
    little = read_folds(corpus / "little")
    folds = with_copies(little, {"slow": {utterance: f"{utterance}_slow" for utterance in little.labels}})
    teacher = train(tmp_path, HEAD, folds, "teacher")
    info = json.loads((run_directory(teacher, folds.folds[0].name, 1) / "checkpoint/info.json").read_text())
    assert len(info["copies"]) * 2 == len(info["trained_on"])
    made = read_folds(guess(teacher, tmp_path / "guessed", "--share", 1))
    ever = read_folds(guess(corpus / "head", tmp_path / "ever", "--share", 1))
    assert [fold.guessed.keys() for fold in made.folds] == [fold.guessed.keys() for fold in ever.folds]


def test_folds_of_others_are_not_written_over(corpus: Path, guess: Guesser, tmp_path: Path) -> None:
    shutil.copytree(corpus / "little", tmp_path / "little")
    before = files(tmp_path / "little")
    with pytest.raises(UserError, match="is there, and without guesses; give a folder of its own as OUT"):
        guess(corpus / "head", tmp_path / "little", folds=tmp_path / "little")
    assert files(tmp_path / "little") == before


def test_inputs_of_the_teacher(corpus: Path, guess: Guesser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As its training was given them; others are refused.  Tables that predicting leaves are not the teacher's, and
    systems give their rows in an order of their own."""
    plain = NearestMean.predict

    def predict(self: NearestMean, run: Path, *arguments: Any) -> Predicted:
        (run / "table.csv").write_text(", ".join(sorted(arguments[1])))
        told = plain(self, run, *arguments)
        return Predicted(told.utterances[::-1], told.parts[::-1], told.outputs.flip(0))

    monkeypatch.setattr(NearestMean, "predict", predict)
    shift = tmp_path / "shift.txt"
    shift.write_text("0.5")
    maker = SystemMaker(find_kind("nearest_mean"), NearestMeanConfig(features=("functionals",), shifted=True),
                        {"shift": shift})  # fmt: skip
    folds = read_folds(corpus / "little")
    experiment = Experiment(maker, folds, tmp_path / "exp", (corpus / "cuts.jsonl.gz",))
    list(train_runs(experiment, [RunId(fold.name, 1) for fold in folds.folds]))
    with pytest.raises(UserError, match="needs --shift, a number to move means by"):
        guess(tmp_path / "exp", tmp_path / "out")
    before = files(tmp_path / "exp")
    assert {path.read_text() for path in before if path.name == "table.csv"} == {"dev, test"}
    guess(tmp_path / "exp", tmp_path / "out", "--input", f"shift={shift}")
    assert files(tmp_path / "exp") == before
    # what the teacher was told is in its guesses, too
    said = read_folds(tmp_path / "out").remarks
    assert (said[0][:12], said[1:]) == ("SELF-TRAINED", ("its teacher: A TOY: nearest means",))
    monkeypatch.setattr(NearestMean, "predict", plain)
    guess(tmp_path / "exp", tmp_path / "straight", "--input", f"shift={shift}")
    assert rows_of(tmp_path / "out") == rows_of(tmp_path / "straight")
    shift.write_text("0.7")
    with pytest.raises(UserError, match=r"what is given for shift is not what .* was trained with"):
        guess(tmp_path / "exp", tmp_path / "other", "--input", f"shift={shift}")


def test_features_of_other_settings(corpus: Path, guess: Guesser, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(corpus / "cuts.jsonl.gz", other)
    write_stamp(other, Stamp({"functionals": {"set": "another"}}), ["cuts.jsonl.gz"])
    with pytest.raises(UserError, match=r"functionals features with set another, but .* was trained on set toy"):
        guess(corpus / "head", tmp_path / "out", cuts=other / "cuts.jsonl.gz")


def test_speech_of_another_corpus(
    corpus: Path, guess: Guesser, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Without --all: cuts that the folds do not know; speakers who are dev or test are left out, with a word."""
    caplog.set_level("INFO")
    far = tmp_path / "far"
    cuts = list(read_cuts(corpus / "cuts.jsonl.gz"))
    new = []
    for number, cut in enumerate(cuts[:24]):
        told = dataclasses.replace(
            cut.supervisions[0], id=f"far{number}", speaker="spk0" if number < 3 else f"far_{number % 4}",
            custom={"corpus": "far"},
        )  # fmt: skip
        new.append(dataclasses.replace(cut, id=f"far{number}", supervisions=[told]))
    far.mkdir()
    CutSet.from_cuts([*cuts, *new]).to_file(far / "cuts.jsonl.gz")
    write_stamp(far, Stamp({"functionals": {"set": "toy"}}), ["cuts.jsonl.gz"])
    out = guess(corpus / "head", tmp_path / "out", "--share", 1, whole=False, cuts=far / "cuts.jsonl.gz")
    folds, little = read_folds(out), read_folds(corpus / "little")
    assert folds.labels == little.labels
    assert folds.corpora == ("far", "noise")
    for fold, known in zip(folds.folds, little.folds, strict=True):
        heard = {little.speakers[u] for u in (*fold.dev, *fold.test)}
        names = {u for u, speaker in little.speakers.items() if speaker not in heard and u not in known.train}
        names |= {one.id for one in new if one.supervisions[0].speaker not in heard}
        assert set(fold.guessed) == names
        assert ("far0" in names) == ("spk0" not in heard)
    left = [fold.name for fold in folds.folds if "far0" not in fold.guessed]
    assert len(left) == 2, "spk0 is dev once, and tested once"
    for name in left:
        assert f"fold {name}: 3 utterances are left out, their speakers are dev or test" in caplog.text
    assert {row["label"] for row in rows_of(out) if row["utterance"].startswith("far")} == {""}
    # the vectors are copies: whoever reads them has the same guess
    one = {row["utterance"]: row["guess"] for row in rows_of(out) if row["fold"] == left[0]}
    assert one["far10"] == one.get("utt10", one["far10"])
    settings = {"cuts": (far / "cuts.jsonl.gz",), "directory": tmp_path / "student", "folds": folds}
    for name, system in (("head", HEAD), ("stack", [*STACK, "normalise=corpus"])):
        experiment = Experiment(load_system(None, system), **settings | {"directory": tmp_path / name})  # type: ignore[arg-type]
        list(train_runs(experiment, [RunId(fold.name, 1) for fold in folds.folds]))
        table = read_predictions(sorted((tmp_path / name).glob("fold_*/seed_1/predictions.csv")))
        assert set(table.corpora) == {"noise"}
        assert set(table.select(part="test").utterances) == set(little.labels)
    info = json.loads((tmp_path / "head/fold_Session1/seed_1/checkpoint/info.json").read_text())
    assert set(info["guessed"]) == set(folds.folds[0].guessed)
    assert info["corpus"] == "far+noise"
