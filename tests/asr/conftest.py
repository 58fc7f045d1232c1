"""A small corpus that can be learnt: every letter has its own mean of features."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from lhotse import CutSet, Features, MonoCut, SupervisionSegment
from lhotse.features.io import LilcomChunkyWriter

from sertools.asr.graphs import GraphsConfig, PhoneLmConfig, make_graphs
from sertools.lang.folder import save_lexicon
from sertools.lang.lexicon import LangConfig, from_words
from sertools.lfmmi import TopologyConfig

WORDS = ("ab", "ba", "cab", "ac", "bca")


@dataclass(frozen=True)
class TinyCorpus:
    """Manifests with features and i-vectors, a lang folder, and graphs of both topologies."""

    train: Path
    dev: Path
    lang: Path
    graphs: Path
    graphs_ctc: Path


def _cuts(directory: Path, part: str, count: int, seed: int) -> Path:
    generator = np.random.default_rng(seed)
    means = np.random.default_rng(0).normal(0, 2, (4, 6))
    cuts = []
    with LilcomChunkyWriter(directory / f"{part}-features.lca", tick_power=-8) as features:
        with LilcomChunkyWriter(directory / f"{part}-ivectors.lca", tick_power=-8) as ivectors:
            for number in range(count):
                words = list(generator.choice(WORDS, generator.integers(1, 4)))
                letters = [0, *("abc".index(c) + 1 for c in "".join(words)), 0]
                frames = np.repeat(letters, generator.integers(7, 12, len(letters)))
                values = (means[frames] + generator.normal(0, 0.5, (len(frames), 6))).astype(np.float32)
                name, duration = f"{part}{number:03d}", len(frames) / 100
                cut = MonoCut(
                    name, 0.0, duration, 0,
                    [SupervisionSegment(name, name, 0.0, duration, text=" ".join(words), speaker="s")],
                    Features("noise", len(frames), 6, 0.01, 16000, 0.0, duration, features.name,
                             features.storage_path, features.write(name, values), name, 0),
                )  # fmt: skip
                rows = generator.normal(0, 1, (-(-len(frames) // 10), 3)).astype(np.float32)
                cut.ivector = ivectors.store_array(name, rows, frame_shift=0.1, temporal_dim=0, start=0.0)
                cuts.append(cut)
    CutSet.from_cuts(cuts).to_file(directory / f"{part}.jsonl.gz")
    return directory / f"{part}.jsonl.gz"


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyCorpus:
    """80 utterances to train, 12 for dev, of five words in three letters."""
    directory = tmp_path_factory.mktemp("asr")
    corpus = TinyCorpus(
        _cuts(directory, "train", 80, 1), _cuts(directory, "dev", 12, 2),
        directory / "lang", directory / "graphs", directory / "graphs_ctc",
    )  # fmt: skip
    config = LangConfig(units="characters", unknown=False, boundary="none")
    save_lexicon(from_words(dict.fromkeys(WORDS, 1), config), corpus.lang)
    lm = PhoneLmConfig(order=3, no_prune_order=2, num_extra_states=50)
    make_graphs(corpus.lang, corpus.train, corpus.graphs, GraphsConfig(phone_lm=lm))
    make_graphs(corpus.lang, corpus.train, corpus.graphs_ctc, GraphsConfig(TopologyConfig("ctc"), lm))
    return corpus
