"""What else runs leave: read by kind, shown as it is, refused in a sentence."""

import json
from pathlib import Path

import pytest

from sertools.errors import UserError
from sertools.evaluation.score.scoring import Wishes, evaluate, input_files
from sertools.runs.extras.layers import depth_of
from sertools.runs.extras.registry import EXTRAS, find_extra, read_extras
from sertools.runs.extras.speakers import Speakers
from sertools.runs.predictions import read_predictions

FOUND = {"utterances": 40, "speakers": 4, "speaker": 0.75, "chance": 0.2, "speaker_unseen": None, "gender": 0.5}
# the smallest picture there is: one pixel
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010804000000b51c0c020000000b4944415478da6364f8ff1f0003030200efbfe71b"
    "0000000049454e44ae426082"
)


def given(directory: Path, **changes: object) -> Path:
    directory.mkdir()
    (directory / "speakers.json").write_text(json.dumps(FOUND | changes))
    (directory / "speakers.png").write_bytes(PIXEL)
    return directory


def test_names_are_unique() -> None:
    assert [kind.name for kind in EXTRAS] == [
        "words", "speakers", "layers", "epochs", "raters", "groups", "confidence",
    ]  # fmt: skip
    with pytest.raises(UserError, match="--extra song: there is no such extra; there are words, speakers, layers"):
        find_extra("song")


def test_speakers_are_shown_where_they_are_given(experiment: Path, tmp_path: Path) -> None:
    directory = given(tmp_path / "speakers")
    extras = {"speakers": str(directory)}
    assert input_files(experiment, (), extras)["speakers/speakers.png"] == directory / "speakers.png"
    evaluate(experiment, tmp_path / "results", wishes=Wishes(extras=extras))
    for name in ("results.txt", "report.html"):
        text = (tmp_path / "results" / name).read_text()
        assert "of the same speaker for 75.0 % (chance 20.0 %); the nearest of another speaker" in text
    assert json.loads((tmp_path / "results/results.json").read_text())["speakers"] == FOUND
    assert (tmp_path / "results/speakers.png").read_bytes() == PIXEL


def test_nothing_left_is_nothing_shown(experiment: Path) -> None:
    table = read_predictions(experiment / "fold_Session1/seed_0/predictions.csv")
    # the table alone tells of confidence
    assert set(read_extras({"fold_Session1/seed_0": experiment / "fold_Session1/seed_0"}, table, {})) == {"confidence"}


@pytest.mark.parametrize("changes", [{"speaker": "high"}, {"chance": 7}, {"utterances": None}, {"gender": [1]}])
def test_damaged_speakers(experiment: Path, tmp_path: Path, changes: dict[str, object]) -> None:
    table = read_predictions(experiment / "fold_Session1/seed_0/predictions.csv")
    with pytest.raises(UserError, match=r"speakers\.json does not hold what local/identify_speakers\.py writes"):
        Speakers().read({}, table, given(tmp_path / "s", **changes))


def test_speakers_that_are_not_there(experiment: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist; it is made by local/identify_speakers"):
        input_files(experiment, (), {"speakers": str(tmp_path / "none")})


def test_layers_that_are_damaged_or_not_of_all_runs(experiment: Path, tmp_path: Path) -> None:
    table = read_predictions(experiment / "fold_Session1/seed_0/predictions.csv")
    rows = "epoch,kind,layer,distance\nbest,linear,fc1.weight,0.1\nlast,linear,fc1.weight,0.3\n"
    folders = {name: tmp_path / name for name in "ab"}
    for folder in folders.values():
        folder.mkdir()
        (folder / "layer_distances.csv").write_text(rows)
    (folders["b"] / "layer_distances.csv").write_text(rows.replace("0.3", "0.5"))
    found = read_extras(folders, table, {})["layers"]
    assert found.rows == (("fc1", "0.1", "0.4"),)
    for text in (rows.replace("0.1", "song"), rows.replace("0.1", "nan"), rows[:60], "", rows.replace("layer", "l")):
        (folders["b"] / "layer_distances.csv").write_text(text)
        with pytest.raises(UserError, match=r"layer_distances\.csv .*train this run again"):
            read_extras(folders, table, {})
    (folders["b"] / "layer_distances.csv").write_text(rows.replace("fc1", "fc2"))
    with pytest.raises(UserError, match="other layers than the other runs"):
        read_extras(folders, table, {})
    (folders["b"] / "layer_distances.csv").unlink()
    with pytest.raises(UserError, match="which other runs have"):
        read_extras(folders, table, {})


def distances(*values: float) -> dict[tuple[str, str], tuple[str, float]]:
    names = [f"conv{n}.weight" for n in range(len(values) - 1)] + ["head.weight"]
    return {(which, name): ("linear" if name == "head.weight" else "convolution", value)
            for which in ("best", "last") for name, value in zip(names, values, strict=True)}  # fmt: skip


def test_whether_early_layers_move_most() -> None:
    # the head counts in none of it
    runs = {f"fold_{n}/seed_1": distances(0.5, 0.3, 0.2, 0.1 / (n + 1), 9.0) for n in range(6)}
    found = depth_of(runs, "best")
    assert found is not None
    assert (found.value, found.p, found.folds) == (-1.0, 2 / 2**6, 6)
    assert found.early == pytest.approx(0.4)
    # the middle one of three layers is in no half; a fold of the other order
    mixed = {"fold_a/seed_1": distances(0.5, 0.3, 0.2, 1.0), "fold_b/seed_1": distances(0.1, 0.2, 0.4, 1.0)}
    found = depth_of(mixed, "last")
    assert found is not None
    assert (found.value, found.p) == (0.0, 1.0)
    assert (found.early, found.late) == (pytest.approx(0.3), pytest.approx(0.3))
    # seeds of a fold are one
    seeds = {"fold_a/seed_1": distances(0.5, 0.3, 0.2, 1.0), "fold_a/seed_2": distances(0.1, 0.2, 0.4, 1.0)}
    found = depth_of(seeds, "last")
    assert found is not None
    assert (found.folds, found.p) == (1, 1.0)
    # what is frozen has no order
    assert depth_of({"fold_a/seed_1": distances(0.0, 0.0, 0.0, 1.0)}, "best") is None


def test_the_line_about_depth(experiment: Path, tmp_path: Path) -> None:
    table = read_predictions(experiment / "fold_Session1/seed_0/predictions.csv")
    folders = {f"fold_{n}/seed_1": tmp_path / str(n) for n in range(2)}
    lines = ["epoch,kind,layer,distance"]
    for which, values in (("best", (0.3, 0.2, 0.1)), ("last", (0.0, 0.0, 0.0))):
        lines += [f"{which},convolution,c{n}.weight,{value}" for n, value in enumerate(values)]
        lines.append(f"{which},linear,head.weight,1.0")
    for folder in folders.values():
        folder.mkdir()
        (folder / "layer_distances.csv").write_text("\n".join(lines) + "\n")
    found = read_extras(folders, table, {})["layers"]
    assert found.rows[-1] == ("rank correlation with depth, p", "-1.00, 0.500", "–")
    assert found.values[-1] == {"layer": "all", "kind": "rank correlation with depth", "best": -1.0, "p_best": 0.5}
