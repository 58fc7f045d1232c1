"""Kinds of bad input: what the user did, and what to do about it.  What is said is in docs/errors.md.

Each case runs in a folder with what material.py makes (corpora/, data/, exp/tdnn, conf/), after ``spoil`` has
changed something there.  A command is a program of local/, or sertools, or ./run.sh of ``recipe``.
"""

from case import Case
from cases_of_corpora import CASES as OF_CORPORA
from cases_of_options import CASES as OF_OPTIONS
from cases_of_systems import CASES as OF_SYSTEMS

__all__ = ["CASES", "Case"]

CASES = [*OF_OPTIONS, *OF_CORPORA, *OF_SYSTEMS]
