"""Cuts of parts of a fold: those and no others, whatever a model is pretrained on."""

from pathlib import Path

import pytest
from quick_programs import Program
from vector_corpus import make_vector_corpus

from sertools.errors import UserError
from sertools.manifests import read_cuts, write_cuts
from sertools.partitions.folds import read_folds
from sertools.partitions.selecting import select_cuts


def test_the_parts_that_are_asked_for(tmp_path: Path) -> None:
    cuts, folds, _ = make_vector_corpus(tmp_path)
    fold = read_folds(folds).folds[0]
    for parts, wanted in ((["train"], fold.train), (["train", "dev"], [*fold.train, *fold.dev])):
        made = select_cuts([cuts], folds, fold, parts, tmp_path / "out")
        assert [cut.id for cut in read_cuts(made)] == sorted(wanted)
    assert not {cut.id for cut in read_cuts(made)} & set(fold.test)
    time = made.stat().st_mtime_ns
    select_cuts([cuts], folds, fold, ["train", "dev"], tmp_path / "out")
    assert made.stat().st_mtime_ns == time
    write_cuts(list(read_cuts(cuts))[1:], tmp_path / "fewer.jsonl.gz")
    with pytest.raises(UserError, match=r"1 utterances of the fold .* are not in"):
        select_cuts([tmp_path / "fewer.jsonl.gz"], folds, fold, ["train", "dev", "test"], tmp_path / "other")


def test_all_utterances_of_the_folds_out_of_two_manifests(program: Program, tmp_path: Path) -> None:
    """As egs/packaged calls the program."""
    cuts, folds, _ = make_vector_corpus(tmp_path)
    every = list(read_cuts(cuts))
    write_cuts([*every[7:], every[0].with_id("of no fold")], tmp_path / "a.jsonl.gz")
    write_cuts(every[:7], tmp_path / "b.jsonl.gz")
    command = ("select_cuts.py", "--folds", folds)
    done = program(*command, tmp_path / "a.jsonl.gz", tmp_path / "b.jsonl.gz", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    found = [cut.id for cut in read_cuts(tmp_path / "out/cuts.jsonl.gz")]
    assert found == [cut.id for cut in (*every[7:], *every[:7])]
    for half in (["--fold", "1"], ["--part", "train"]):
        refused = program(*command, *half, cuts, tmp_path / "out")
        assert "give both --fold and --part, or neither" in refused.stderr
