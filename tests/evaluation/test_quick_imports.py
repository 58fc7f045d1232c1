"""Scoring and comparing wait for no import that they do without."""

import subprocess
import sys


def test_pages_without_torch_and_lhotse() -> None:
    """Half of all time of a program that compares two tables would be theirs."""
    program = """
import sys
import sertools.evaluation.benchmark.pages, sertools.evaluation.compare.comparing
import sertools.evaluation.curve.making, sertools.evaluation.paper.making, sertools.evaluation.score.scoring
print(*{"torch", "lhotse", "scipy.stats", "scipy.optimize", "sklearn", "transformers"} & sys.modules.keys())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
