"""egs/common/stages: what is trained where --system is not given, as RESULTS.md recommends it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from recipe_copy import ROOT

from sertools.partitions.folds import SELF_TRAINED, Fold, Folds, write_folds
from sertools.partitions.target import Target

STAGES = f"""
set -euo pipefail
for stages in {ROOT}/egs/common/stages/*.sh; do . "$stages"; done
recipe_error() {{ echo "$1"; exit 2; }}
system= pretrained= ivectors=
"""
PATH = f"{ROOT}/local:{Path(sys.executable).parent}:{os.environ['PATH']}"


def done(commands: str, **environment: str) -> subprocess.CompletedProcess[str]:
    given = {**os.environ, "PATH": PATH, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(
        ["bash", "-c", STAGES + commands], capture_output=True, text=True, cwd=ROOT / "egs/own", env=given
    )


def said(commands: str, **environment: str) -> list[str]:
    ended = done(commands, **environment)
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stderr
    return ended.stdout.splitlines()


@pytest.mark.parametrize(
    ("given", "system", "by_speaker"),
    [
        ("", "tdnn pooled_mfcc", ""),
        ("ivectors=ivector", "tdnn", ""),  # statistics take no --extractor
        ("pretrained=../tedlium2/exp/x", "pooled pooled_speaker s1", "pooled_speaker"),
        ("pretrained=../tedlium2/exp/x ivectors=ivector", "pooled pooled_speaker s1", "pooled_speaker"),
        ("pretrained=../tedlium2/exp/x system=s1_log", "s1_log", ""),
    ],
)
def test_systems_with_and_without_a_pretrained_network(given: str, system: str, by_speaker: str) -> None:
    told = said(f'{given}\ndefault_transfer\necho "$system"; echo "$by_speaker"', by_speaker="s1_log")
    assert told == [system, by_speaker]


def test_who_names_systems_of_s3_gets_them() -> None:
    given = "name_folds() { :; }\nsystem=s3_sum_fast_speaker curve_system=x backbone=/b/x suffix=\nbackbone_inputs\n"
    assert said(f'{given}folds=.\nseveral_of_each\necho "$system"', by_speaker="s3_sum_fast_speaker") == [
        "s3_sum_fast_speaker"
    ]


def folds_of(speakers: dict[str, str], guessed: dict[str, str]) -> Folds:
    """Folds on utterances, of which some have guessed labels; the last two are dev and test."""
    known = [name for name in speakers if name not in guessed]
    labels: dict[str, str | float] = {name: ("angry", "sad")[place % 2] for place, name in enumerate(known)}
    *train, dev, test = labels
    return Folds(
        "fixed", Target("emotion", classes=("angry", "sad")), "all", True, labels, speakers,
        (Fold("one", (*train, *guessed), (dev,), (test,), guessed=guessed),), "", ("toy",),
        tested="some", remarks=(f"{SELF_TRAINED}: one label is guessed",) if guessed else (),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("speakers", "guessed", "why"),
    [
        ("XXYY", "", ""),
        ("XXXY", "", "Y has a single utterance, too little to normalise by speaker (1 of 2 speakers have)"),
        ("XXXX", "", "all utterances are of one speaker, X"),
        ("XXYZY", "Z", "Z has a single utterance, too little to normalise by speaker (1 of 3 speakers have)"),
        ("ZXXYZY", "Z", ""),
    ],
)
def test_nothing_is_normalised_by_speaker_where_it_cannot_be(
    tmp_path: Path, speakers: str, guessed: str, why: str
) -> None:
    of = {str(number): name for number, name in enumerate(speakers)}
    told = [number for number, name in of.items() if name == guessed][-1:]
    write_folds(tmp_path, folds_of(of, dict.fromkeys(told, "angry")))
    given = f"folds={tmp_path} pretrained=x\ndefault_transfer\n"
    left_out = [f"pooled_speaker is not trained: {why}", "pooled s1"]
    assert said(f'{given}several_of_each\necho "$system"') == (left_out if why else ["pooled pooled_speaker s1"])
    # whoever names it is told by the training what is missing
    if why:
        assert said(f'system="pooled_speaker s1" {given}several_of_each\necho "$system"') == ["pooled_speaker s1"]


def test_folds_that_are_damaged_are_an_error_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "folds.json").write_text('{"labels"')
    ended = done(f"folds={tmp_path} pretrained=x\ndefault_transfer\nseveral_of_each\necho on")
    assert ended.returncode != 0
    assert ended.stdout == ""
    assert ended.stderr.startswith("error: ")
    assert f"{tmp_path}/folds.json" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_folds_that_are_not_made_yet_leave_nothing_out() -> None:
    given = "folds=none pretrained=x\ndefault_transfer\n"
    assert said(f'{given}several_of_each\necho "$system"') == ["pooled pooled_speaker s1"]


NUMBER = "suffix= results=exp/\nnumber_settings\n"


def test_what_is_for_numbers_goes_to_systems_that_know_it(tmp_path: Path) -> None:
    """By what a configuration is, not by its name: SVMs and S2's networks select no epoch."""
    (tmp_path / "conf/s2").mkdir(parents=True)
    (tmp_path / "conf/s2/my_svm.yaml").write_text("system: svm\nfeatures: [functionals]\n")
    given = f'cd {tmp_path}; config() {{ config=(--config "$1.yaml"); }}\n{NUMBER}'
    told = said(
        f'{given}paper=conf/s2\nexperiment my_svm\necho "${{layer[*]-}}"\n'
        f'paper={ROOT}/egs/common/conf/s2\nexperiment dnn\necho "${{layer[*]-}}"\n'
        f'paper={ROOT}/egs/common/conf/s1\nexperiment pooled_mfcc\necho "${{layer[*]-}}"'
    )
    assert told == ["", "", "--set training.select_by=dev_ccc --set data.class_weights=none"]


@pytest.mark.parametrize(("baseline", "paper"), [("svm", "s2"), ("dnn", "s2"), ("s3a_functionals", "s3")])
def test_the_baseline_on_functionals_is_of_either_paper(baseline: str, paper: str) -> None:
    told = 'told() { echo "$paper $system $cuts"; }\n'
    given = f"baseline={baseline} functionals=f.jsonl.gz\n"
    assert said(f"{told}{given}with_baseline told") == [f"{paper} {baseline} f.jsonl.gz"]


@pytest.mark.parametrize(
    ("files", "error"),
    [
        (["s2/mine", "s3/mine"], "conf/s2 and conf/s3 both have mine.yaml; give one another name"),
        (["s2/other"], "neither conf/s2 nor conf/s3 has mine.yaml, here or in ../common"),
    ],
)
def test_a_baseline_of_no_one_paper_is_refused(tmp_path: Path, files: list[str], error: str) -> None:
    for name in files:
        (tmp_path / f"conf/{name}.yaml").parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"conf/{name}.yaml").touch()
    ended = done(f"cd {tmp_path}; baseline=mine; baseline_paper")
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, f"--baseline mine: {error}\n", "")


@pytest.mark.parametrize(
    ("given", "noted"),
    [("", 1), ("pretrained=x", 0), ("system=tdnn", 0), ("target=arousal:number", 0), ("target=gender", 1)],
)
def test_what_to_take_is_said_of_classes_where_nothing_was_chosen(given: str, noted: int) -> None:
    told = said(f"target=\n{given}\ndefault_transfer\nwhat_to_take")
    assert [line.startswith("NOTE: ") for line in told] == [True] * noted
