"""Pronunciations by espeak-ng."""

import pytest

from sertools.errors import UserError
from sertools.lang.espeak import pronounce


def test_words_alone_without_stress() -> None:
    found = pronounce(["cat", "afraid"], "en-us")
    assert found == {"cat": ["k", "æ", "t"], "afraid": ["ɐ", "f", "ɹ", "eɪ", "d"]}


def test_other_languages_and_unknown_ones() -> None:
    assert pronounce(["uno"], "es")["uno"] == ["u", "n", "o"]
    with pytest.raises(UserError, match="is there a voice 'xx-none'"):
        pronounce(["uno"], "xx-none")
