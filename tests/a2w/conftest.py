"""A small corpus of words that a tiny recogniser learns: every letter has its own mean of features."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from lhotse import CutSet, Features, MonoCut, SupervisionSegment
from lhotse.features.io import LilcomChunkyWriter

from sertools.asr.graphs import GraphsConfig, PhoneLmConfig, make_graphs
from sertools.lang.folder import save_lexicon
from sertools.lang.lexicon import LangConfig, Lexicon, from_words
from sertools.lang.vocabulary import VocabularyConfig, make_vocabulary

WORDS = ("ab", "ba", "cab", "ac", "bca")


@dataclass(frozen=True)
class TinyWords:
    """Manifests with features, a lang folder (one word has two pronunciations), graphs, a vocabulary."""

    train: Path
    dev: Path
    lang: Path
    graphs: Path
    vocabulary: Path


def write_cuts(directory: Path, part: str, count: int, seed: int) -> Path:
    """Utterances of one to three words; the first of them has none."""
    generator = np.random.default_rng(seed)
    means = np.random.default_rng(0).normal(0, 2, (4, 6))
    cuts = []
    with LilcomChunkyWriter(directory / f"{part}-features.lca", tick_power=-8) as features:
        for number in range(count):
            words = list(generator.choice(WORDS, generator.integers(1, 4))) if number else []
            # "ac" is said as "ca" in every second utterance
            spoken = ["ca" if word == "ac" and number % 2 else word for word in words]
            letters = [0, *(n for word in spoken for n in (*("abc".index(c) + 1 for c in word), 0))]
            frames = np.repeat(letters, generator.integers(5, 9, len(letters)))
            values = (means[frames] + generator.normal(0, 0.3, (len(frames), 6))).astype(np.float32)
            name, duration = f"{part}{number:03d}", len(frames) / 100
            cuts.append(MonoCut(
                name, 0.0, duration, 0,
                [SupervisionSegment(name, name, 0.0, duration, text=" ".join(words), speaker=f"s{number % 3}")],
                Features("noise", len(frames), 6, 0.01, 16000, 0.0, duration, features.name,
                         features.storage_path, features.write(name, values), name, 0),
            ))  # fmt: skip
    CutSet.from_cuts(cuts).to_file(directory / f"{part}.jsonl.gz")
    return directory / f"{part}.jsonl.gz"


def lexicon() -> Lexicon:
    """Letters are the phones; "ac" may be said as "ca"."""
    plain = from_words(dict.fromkeys(WORDS, 1), LangConfig(units="characters", unknown=False, boundary="none"))
    ((spelling, _),) = plain.entries["ac"]
    both = ((spelling, float(np.log(0.6))), (spelling[::-1], float(np.log(0.4))))
    return Lexicon(plain.phones, dict(plain.entries) | {"ac": both}, plain.silence, None, plain.text)


def make_corpus(directory: Path, train: int, dev: int) -> TinyWords:
    """A corpus of so many utterances."""
    found = TinyWords(
        write_cuts(directory, "train", train, 1), write_cuts(directory, "dev", dev, 2),
        directory / "lang", directory / "graphs", directory / "vocabulary",
    )  # fmt: skip
    save_lexicon(lexicon(), found.lang)
    lm = PhoneLmConfig(order=3, no_prune_order=2, num_extra_states=50)
    make_graphs(found.lang, found.train, found.graphs, GraphsConfig(phone_lm=lm))
    make_vocabulary([" ".join(WORDS)] * 3, {}, {"words": found.train}, VocabularyConfig(), found.vocabulary)
    return found


@pytest.fixture(scope="session")
def tiny_words(tmp_path_factory: pytest.TempPathFactory) -> TinyWords:
    """120 utterances to train, 16 for dev, of five words in three letters."""
    return make_corpus(tmp_path_factory.mktemp("a2w"), 120, 16)
