"""When utterances can be normalised by speaker."""

from dataclasses import replace

import pytest

from sertools.partitions.by_speaker import why_not_by_speaker
from sertools.partitions.copies import with_copies
from sertools.partitions.examples import Example
from sertools.partitions.folds import Folds
from sertools.partitions.making import FoldsConfig, make_folds


def folds(counts: dict[str, int]) -> Folds:
    utterances = [(who, n) for who, count in counts.items() for n in range(count)]
    examples = [Example(f"{who}{n}", who, who, ("angry", "sad")[n % 2], "mine") for who, n in utterances]
    return make_folds(FoldsConfig("two"), examples, classes=("angry", "sad"))


@pytest.mark.parametrize(
    ("counts", "why"),
    [
        ({"p": 4, "q": 4, "r": 2}, ""),
        ({"p": 4, "q": 4, "r": 4, "s": 1}, "s has a single utterance, too little to normalise by speaker (1 of 4 "
                                           "speakers have)"),
    ],
)  # fmt: skip
def test_several_of_each(counts: dict[str, int], why: str) -> None:
    plain = folds(counts)
    assert why_not_by_speaker(plain) == why
    # a copy is normalised among copies, so it is no second utterance
    assert why_not_by_speaker(with_copies(plain, {"slow": {u: f"{u}_slow" for u in plain.labels}})) == why


def test_one_speaker() -> None:
    several = folds({"p": 4, "q": 4, "r": 4})
    alone = replace(several, speakers=dict.fromkeys(several.speakers, "p"))
    assert why_not_by_speaker(alone) == "all utterances are of one speaker, p"
