"""egs/common/stages: what is trained where --system is not given, as RESULTS.md recommends it."""

import json
import subprocess
from pathlib import Path

import pytest
from recipe_copy import ROOT

STAGES = f"""
set -euo pipefail
for stages in {ROOT}/egs/common/stages/*.sh; do . "$stages"; done
system= pretrained=
"""


def said(commands: str) -> list[str]:
    done = subprocess.run(["bash", "-c", STAGES + commands], capture_output=True, text=True, cwd=ROOT / "egs/own")
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("given", "system", "by_default"),
    [
        ("", "tdnn pooled_mfcc", "true"),
        ("pretrained=../tedlium2/exp/x", "pooled pooled_speaker s1", "true"),
        ("pretrained=../tedlium2/exp/x system=s1_log", "s1_log", "false"),
    ],
)
def test_systems_with_and_without_a_pretrained_network(given: str, system: str, by_default: str) -> None:
    assert said(f'{given}\ndefault_transfer\necho "$system"; echo $by_default') == [system, by_default]


@pytest.mark.parametrize(
    ("speakers", "kept"),
    [
        ({"a": "X", "b": "X", "c": "Y", "d": "Y"}, "pooled pooled_speaker s1"),
        ({"a": "X", "b": "X", "c": "Y", "d": "Y", "unlabelled": "Z"}, "pooled pooled_speaker s1"),
        ({"a": "X", "b": "X", "c": "X", "d": "Y"}, "pooled s1"),  # over one utterance nothing can be normalised
        ({"a": "X", "b": "X", "c": "X", "d": "X"}, "pooled s1"),  # nobody knows who speaks
    ],
)
def test_nothing_is_normalised_by_speaker_where_it_cannot_be(
    tmp_path: Path, speakers: dict[str, str], kept: str
) -> None:
    folds = {"labels": dict.fromkeys("abcd", "angry"), "speakers": speakers}
    (tmp_path / "folds.json").write_text(json.dumps(folds))
    given = f"folds={tmp_path} pretrained=x\ndefault_transfer\n"
    *told, system = said(f'{given}several_of_each\necho "$system"')
    assert system == kept
    assert ["pooled_speaker is not trained" in line for line in told] == [True] * (kept == "pooled s1")
    # whoever names it is told by the training what is missing
    assert said(f'{given}by_default=false\nseveral_of_each\necho "$system"') == ["pooled pooled_speaker s1"]
    assert said(f'{given}folds=none\nseveral_of_each\necho "$system"') == ["pooled pooled_speaker s1"]


@pytest.mark.parametrize(
    ("baseline", "paper", "settings"),
    [("svm", "s2", ""), ("dnn", "s2", "--set x=1"), ("s3a_functionals", "s3", "--set x=1")],
)
def test_the_baseline_on_functionals_is_of_either_paper(baseline: str, paper: str, settings: str) -> None:
    told = 'told() { echo "$paper ${settings[*]-} $cuts"; }\n'
    given = f"baseline={baseline} functionals=f.jsonl.gz settings=(--set x=1)\n"
    assert said(f"{told}{given}with_baseline told") == [f"{paper} {settings} f.jsonl.gz"]
