"""egs/common/stages/sources.sh: a stage of S2 on several protocols."""

import os
import subprocess
from pathlib import Path

import pytest
from recipe_copy import ROOT

STAGES = f"""
set -euo pipefail
for stages in {ROOT}/egs/common/stages/*.sh; do . "$stages"; done
recipe_error() {{ echo "error: $1"; exit 0; }}
check_runs.py() {{ echo "checked $protocol"; }}
paper_page.py() {{ echo "page of $protocol"; }}
command_line() {{ :; }}
told() {{ echo "$protocol$suffix:$system"; }}
data=D paper=s2 protocols="s2 merged" protocol=s2 num_seeds=1
"""


def said(commands: str) -> list[str]:
    done = subprocess.run(["bash", "-c", STAGES + commands], capture_output=True, text=True, cwd=ROOT / "egs/iemocap")
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("system", "second"),
    [
        ("dnn ptft_other svm", "merged_merged: dnn svm"),
        ("ptft_other", "not on folds merged: all of --system transfer from --other, whose folds are s2"),
    ],
)
def test_what_transfers_from_the_other_corpus_is_of_the_first_protocol(system: str, second: str) -> None:
    lines = said(f"results=exp/ system='{system}'\neach_protocol told\ntold")
    assert lines == [f"s2_s2:{system}", second, f"s2_s2:{system}"]


def test_the_page_of_several_protocols_shows_nothing_old(tmp_path: Path) -> None:
    for protocol in ("s2", "merged"):
        run = tmp_path / f"dnn_{protocol}/fold_1/seed_1/predictions.csv"
        run.parent.mkdir(parents=True)
        run.touch()
        os.utime(run, (1, 1))
        made = tmp_path / f"comparison_s2_{protocol}/comparison.json"
        made.parent.mkdir()
        made.touch()
    page = f"results={tmp_path}/ system=dnn\npaper_page comparison_s2"
    assert said(page) == ["checked s2", "checked merged", "page of s2"]
    os.utime(made, (0, 0))
    (*_, error) = said(page)
    assert error.startswith(f"error: {made} is older than predictions of {tmp_path}/dnn_merged: ")
