"""The bodies of stages that recipes share, egs/common/stages/*.sh, alone."""

import subprocess

import pytest
from recipe_copy import ROOT


@pytest.mark.parametrize(
    ("experiment", "name"),
    [
        ("../tedlium2/exp/a2w", "a2w"), ("../librispeech/exp/a2w", "librispeech_a2w"), ("exp/a2w/", "a2w"),
        ("/root of all/egs/librispeech/exp/demo_a2w/", "librispeech_demo_a2w"), ("/models/a2w", "a2w"), ("a2w", "a2w"),
        ("./exp/a2w", "a2w"), ("../exp/a2w", "a2w"),
    ],
)  # fmt: skip
def test_names_of_experiments(experiment: str, name: str) -> None:
    text = f'. {ROOT}/egs/common/stages/setting.sh; home=tedlium2; experiment_name "{experiment}"'
    assert subprocess.run(["bash", "-euc", text], capture_output=True, text=True, check=True).stdout == f"{name}\n"
