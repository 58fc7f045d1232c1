import subprocess
import sys

import numpy as np
import pytest

from sertools.corpora.demo.arpabet import make_dictionary, pronounce
from sertools.corpora.demo.espeak import VARIANTS, Manner, synthesize, to_ipa

TEXT = "I really think that we should go home now."


def test_the_same_sentence_is_the_same_whatever_was_said_before():
    first = {variant: synthesize(TEXT, Manner(variant)) for variant in VARIANTS}
    synthesize("Something else, at another rate.", Manner("m3", rate=300, pitch=90, range=90))
    for variant in reversed(VARIANTS):
        np.testing.assert_array_equal(synthesize(TEXT, Manner(variant)), first[variant])


def test_the_same_in_another_process():
    program = (
        "import sys; from sertools.corpora.demo.espeak import *; "
        f"sys.stdout.buffer.write(b''.join(synthesize({TEXT!r}, Manner(v)).tobytes() for v in VARIANTS))"
    )
    other = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout
    assert other == b"".join(synthesize(TEXT, Manner(variant)).tobytes() for variant in VARIANTS)


@pytest.mark.parametrize("change", [{"rate": 250}, {"pitch": 80}, {"range": 5}])
def test_every_setting_is_heard(change):
    plain, changed = synthesize(TEXT, Manner("f2")), synthesize(TEXT, Manner("f2", **change))
    assert plain.shape != changed.shape or (plain != changed).any()


@pytest.mark.parametrize("wrong", [{"variant": "x9"}, {"variant": "f1", "pitch": 120}, {"variant": "f1", "rate": 20}])
def test_settings_out_of_range(wrong):
    with pytest.raises(ValueError, match="must be"):
        Manner(**wrong)


def test_ipa_has_all_clauses():
    assert len(to_ipa("One. Two. Three.").split()) == 3


@pytest.mark.parametrize(
    ("word", "phones"),
    [("water", "W AO T ER"), ("judge", "JH AH JH"), ("thing", "TH IH NG"), ("measure", "M EH ZH ER"), ("boy", "B OY")],
)
def test_pronounce(word, phones):
    assert pronounce(word) == [phones]


def test_dictionary_has_weak_forms_and_what_was_heard_twice():
    heard = [("the cat", ["DH AX", "K AE T"]), ("the dog", ["DH AX", "D AO G"]), ("the cat", ["DH AH", "K AE D"])]
    dictionary = make_dictionary(["cat", "the"], heard)
    assert list(dictionary) == ["cat", "the"]
    assert dictionary == {"cat": ["K AE T"], "the": ["DH AH", "DH IY", "DH AX"]}
