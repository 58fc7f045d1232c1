"""Where a system errs: groups from what the manifest knows; and whether it knows when it errs."""

from pathlib import Path

import numpy as np
import pytest

from sertools.errors import UserError
from sertools.runs.extras.confidence import Confidence, area_under_curve, rank_within_runs
from sertools.runs.extras.groups import Groups, find_groups, group_values
from sertools.runs.fields import FIELDS, read_fields, write_fields
from sertools.runs.predictions import Predictions, make_predictions

SPEAKERS = 12


def table(seeds: int = 2) -> tuple[Predictions, dict[str, dict[str, str]]]:
    """Two classes; women (even speakers) are always recognised, of men half of the utterances of class b."""
    rows = [(s, u, seed) for seed in range(1, seeds + 1) for s in range(SPEAKERS) for u in range(8)]
    labels = ["ab"[u % 2] for _, u, _ in rows]
    wrong = [s % 2 == 1 and u in (1, 3) for s, u, _ in rows]
    sure = [0.6 if w else 0.7 + 0.02 * u for w, (_, u, _) in zip(wrong, rows, strict=True)]
    outputs = [
        [p, 1 - p] if (label == "a") != w else [1 - p, p] for p, w, label in zip(sure, wrong, labels, strict=True)
    ]
    made = make_predictions(
        ("a", "b"),
        utterances=[f"s{s:02d}_{u}" for s, u, _ in rows],
        speakers=[f"s{s:02d}" for s, _, _ in rows],
        corpora="toy",
        parts="test",
        folds=[f"f{s % 3}" for s, _, _ in rows],
        seeds=[seed for *_, seed in rows],
        labels=labels,
        outputs=outputs,
    )
    fields = {
        f"s{s:02d}_{u}": {"gender": "male" if s % 2 else "female", "seconds": f"{1 + 0.1 * u:.3f}",
                          "emotion": "ab"[u % 2], "label": ("A", "b", "a", "B")[u % 4],
                          "take": str(u % 4), "odd": f"x{s * 8 + u}"}
        for s in range(SPEAKERS) for u in range(8)
    }  # fmt: skip
    return made, fields


def test_groups_against_counts_by_hand() -> None:
    made, fields = table()
    found = {(group.field, group.name): group for group in find_groups(made, fields)}
    # the label is none, nor what is different for each utterance
    assert {field for field, _ in found} == {"gender", "seconds", "take"}
    men, women = found["gender", "male"], found["gender", "female"]
    assert (men.num_utterances, men.num_speakers) == (48, 6)
    assert (women.value, men.value) == (1.0, pytest.approx(0.75))
    assert men.difference == pytest.approx(-0.25)
    assert men.differs
    # all men are alike: no draw of speakers differs
    assert men.interval is not None
    assert men.interval.low == pytest.approx(0.75) == men.interval.high
    # eight lengths are cut into thirds; a group without a class says so
    assert [name for field, name in found if field == "seconds"] == ["up to 1.2", "1.2 to 1.5", "above 1.5"]
    assert found["take", "1"].lacks == ("a",)
    assert found["take", "1"].value == pytest.approx(0.75)


def test_an_interval_needs_speakers() -> None:
    made, fields = table()
    for name, values in fields.items():
        values["gender"] = "male" if name < "s03" else "female"
    found = {group.name: group for group in find_groups(made, fields) if group.field == "gender"}
    assert found["male"].num_speakers == 3
    assert found["male"].interval is None
    assert found["female"].interval is not None
    assert found["female"].difference_interval is None


def test_numbers_and_words() -> None:
    assert list(group_values(np.array(["10", "9", "", "10"]))) == ["9", "10"]
    assert list(group_values(np.array(["high", "", "low"]))) == ["high", "low"]
    thirds = group_values(np.array([str(n) for n in range(9)] + [""]))
    assert [int(rows.sum()) for rows in thirds.values()] == [3, 3, 3]


def test_the_table_from_files(tmp_path: Path) -> None:
    made, fields = table()
    run, given = tmp_path / "run", tmp_path / "given"
    write_fields(run / FIELDS, fields)
    assert read_fields([run / FIELDS], "x") == fields
    write_fields(given / FIELDS, {name: {"level_db": str(-20 - int(name[-1]) % 4)} for name in fields})
    extra = Groups().read({"run": run}, made, given)
    assert extra is not None
    assert {row[0] for row in extra.rows} == {"gender", "seconds", "take", "level_db"}
    assert [row for row in extra.rows if row[-1] == "*" and row[0] == "gender"]
    assert Groups().read({"run": tmp_path / "none"}, made, None) is None
    (run / FIELDS).write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match="has no column utterance"):
        read_fields([run / FIELDS], "x")


def test_confidence_against_brute_force() -> None:
    made, _ = table()
    extra = Confidence().read({}, made, None)
    assert extra is not None
    right = (made.recognised == made.labels).astype(float)
    surest = rank_within_runs(made)
    pairs = [(s < t) + 0.5 * (s == t) for s, r in zip(surest, right, strict=True) if r
             for t, w in zip(surest, right, strict=True) if not w]  # fmt: skip
    assert area_under_curve(surest, right) == pytest.approx(np.mean(pairs))
    # those at 0.6 are wrong, and all others right
    assert extra.values["auroc"] > 0.99
    assert [row[2] for row in extra.rows] == [f"{100 * right.mean():.1f}", "100.0", "100.0", "100.0"]
    assert area_under_curve(surest, np.ones(len(right))) is None
