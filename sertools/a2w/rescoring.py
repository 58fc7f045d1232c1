"""The word decoder's opinion of what another system's search left over: n-best lists of its lattices.

Joint scoring of hypotheses as in Sainath et al. (2019), "Two-pass end-to-end speech recognition";
here the first pass is the TDNN with its lexicon and language model.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from sertools.a2w.decoding import SCORES, reader_of
from sertools.a2w.training import VOCABULARY, Recogniser, load_a2w
from sertools.config import to_dict
from sertools.data.transcribed import batches_in_order
from sertools.decoding.beam_search import score_tokens
from sertools.decoding.lattice import Lattice, load_lattices, n_best
from sertools.decoding.run import SCALE, TABLE, Reference, read_lm_scale
from sertools.decoding.transcripts import Transcript, write_transcripts
from sertools.decoding.wer import count_errors, score, spoken
from sertools.errors import UserError
from sertools.features.origin import check_origin
from sertools.files import only_writer, read_json, require, write_json
from sertools.lang.folder import load_lexicon
from sertools.lang.transcripts import transcript
from sertools.lang.vocabulary import SETTINGS
from sertools.manifests import load_cuts
from sertools.provenance import Stamp, begin, made_with, require_whole, why_stale, write_stamp
from sertools.training.checkpoint import CONFIG, INFO, WEIGHTS

log = logging.getLogger(__name__)

MADE_BY = "local/rescore_a2w.py"
LATTICES, WEIGHT = "lattices.safetensors", "weight.json"


@dataclass(frozen=True)
class RescoreConfig:
    """``conf/rescore_a2w.yaml``.

    Attributes:
        n_best: so many word sequences of each lattice are scored.
        weights: from these w of first pass + w * log-probability of the word decoder is chosen on dev;
            0 is the first pass alone.
        batch_frames: utterances are computed together up to so many frames.
    """

    n_best: int = 20
    weights: tuple[float, ...] = (0.0, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
    batch_frames: int = 5000

    def __post_init__(self) -> None:
        if self.n_best < 1 or not self.weights or min(self.weights) < 0:
            raise ValueError("n_best must be at least 1, weights a list of numbers from 0 up")


@dataclass(frozen=True)
class Candidate:
    """One word sequence of a lattice.

    Attributes:
        words: normalised by the lexicon.
        first: score of the first pass, acoustic + lm_scale * graph.
        second: log-probability of the word decoder.
    """

    words: tuple[str, ...]
    first: float
    second: float

    def score(self, weight: float) -> float:
        """Of both."""
        return self.first + weight * self.second


def rescore_a2w(
    checkpoint: Path,
    lang_dir: Path,
    decode_dir: Path,
    cuts_path: Path,
    output_dir: Path,
    config: RescoreConfig,
    *,
    weight_dir: Path | None = None,
    device: str = "cpu",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> str | None:
    """Rescore the lattices of a decoding, and score the result.

    Args:
        checkpoint: of the word recogniser.
        lang_dir: lang folder of the first pass.
        decode_dir: output folder of local/decode.py --lattices.
        cuts_path: the same utterances, with the word recogniser's features.
        output_dir: for transcripts.csv, wer.* and weight.json.
        config: see :class:`RescoreConfig`.
        weight_dir: output folder of the dev utterances, whose weight is taken; None to choose it here.
        device: a torch device.
        progress: called with (utterances scored, in all).

    Returns:
        why it was done; None if it was up to date.

    Raises:
        UserError: something is missing; lattices and cuts are of other utterances.
    """
    require_whole(checkpoint, "local/train_a2w.py")
    inputs = {name: require(checkpoint / name, "local/train_a2w.py")
              for name in (WEIGHTS, CONFIG, INFO, f"{VOCABULARY}/{SETTINGS}")}  # fmt: skip
    inputs |= {
        "cuts": require_whole(cuts_path, "the feature stage (local/collect_features.py)"),
        "lattices": require_whole(decode_dir / LATTICES, "local/decode.py --lattices"),
        "scale": require_whole(decode_dir / SCALE, "local/decode.py"),
        "words": require_whole(lang_dir / "words.txt", "local/prepare_lang.py"),
    }
    if weight_dir is not None:
        inputs["weight"] = require_whole(weight_dir / WEIGHT, f"{MADE_BY} on the dev cuts")
    with only_writer(output_dir):
        stamp = Stamp.of(to_dict(config), dict(inputs))
        why = why_stale(output_dir, stamp)
        if why is None:
            return None
        begin(output_dir)
        recogniser = load_a2w(checkpoint, device)
        check_origin(recogniser.features, made_with(cuts_path), str(cuts_path), recogniser.name)
        cuts = load_cuts(cuts_path)
        lexicon = load_lexicon(lang_dir)
        references = {cut.id: Reference(cut.supervisions[0].speaker or "unknown", transcript(cut)) for cut in cuts}
        lattices = load_lattices(decode_dir / LATTICES)
        if lattices.keys() != references.keys():
            odd = sorted(lattices.keys() ^ references.keys())[0]
            raise UserError(f"{decode_dir} and {cuts_path} are of other utterances, for example {odd}")
        scale = read_lm_scale(decode_dir)
        found = _candidates(recogniser, cuts, lattices, lexicon.words, scale, config, progress)
        spoken_words = {name: spoken(lexicon.normalise(one.text)) for name, one in references.items()}
        record = _weights(found, spoken_words, config.weights)
        weight = record["weight"]
        if weight_dir is not None:
            weight = float(read_json(weight_dir / WEIGHT, f"{MADE_BY} on the dev cuts")["weight"])
            record |= {"weight": weight, "chosen": "elsewhere"}
        write_json(output_dir / WEIGHT, record)
        transcripts = [
            Transcript(name, one.speaker, tuple(lexicon.normalise(one.text)), _best(found[name], weight))
            for name, one in references.items()
        ]
        write_transcripts(transcripts, output_dir / TABLE)
        result = score(output_dir / TABLE, output_dir)
        log.info("weight %g: WER %.2f %% (95 %% interval %.2f to %.2f); best of the lists: %.2f %%", weight,
                 result.wer, result.low, result.high, record["oracle_wer"])  # fmt: skip
        write_stamp(output_dir, stamp, [WEIGHT, TABLE, *SCORES])
    return why


@torch.no_grad()
def _candidates(
    recogniser: Recogniser, cuts: Any, lattices: Mapping[str, Lattice], names: Sequence[str], lm_scale: float,
    config: RescoreConfig, progress: Callable[[int, int], None],
) -> dict[str, list[Candidate]]:  # fmt: skip
    """The word sequences of each utterance, best of the first pass first."""
    reader = reader_of(recogniser, cuts, "the cuts")
    model, vocabulary = recogniser.model, recogniser.vocabulary
    found: dict[str, list[Candidate]] = {}
    for batch in batches_in_order(reader, lambda text: None, config.batch_frames).load(0, 0, False):
        utterances = [reader.entries[index].id for index in batch.indices]
        lists = [n_best(lattices[name], lm_scale, config.n_best) for name in utterances]
        spelt = [[tuple(names[word - 1] for word in words) for words, _ in one] for one in lists]
        # words of the lexicon may be written otherwise in the vocabulary (punctuation)
        tokens = [[vocabulary.encode(" ".join(words)) for words in one] for one in spelt]
        encoding = model.encode(batch.features.to(model.device), batch.lengths)
        scores = score_tokens(model, encoding, tokens)
        for name, first, words, second in zip(utterances, lists, spelt, scores, strict=True):
            found[name] = [Candidate(w, f, s) for (_, f), w, s in zip(first, words, second, strict=True)]
        progress(len(found), len(lattices))
    return found


def _best(candidates: Sequence[Candidate], weight: float) -> tuple[str, ...]:
    """The words of the best; none from an empty lattice."""
    return max(candidates, key=lambda one: one.score(weight)).words if candidates else ()


def _weights(
    found: Mapping[str, Sequence[Candidate]], references: Mapping[str, tuple[str, ...]], weights: Sequence[float]
) -> dict[str, Any]:
    """The weight with the fewest word errors, of equal ones the first; errors of all, and of the best candidates."""

    def errors(weight: float) -> int:
        return sum(count_errors(references[name], spoken(_best(found[name], weight))).total for name in found)

    total = sum(map(len, references.values()))
    tried = [{"weight": weight, "errors": errors(weight), "words": total} for weight in weights]
    chosen = min(tried, key=lambda one: one["errors"])["weight"]
    if len(weights) > 1 and chosen == max(weights):
        log.warning("the best weight, %g, is the largest of those tried: try more (weights)", chosen)
    oracle = sum(
        min((count_errors(references[name], spoken(one.words)).total for one in candidates),
            default=len(references[name]))
        for name, candidates in found.items()
    )  # fmt: skip
    return {"weight": chosen, "chosen": "here", "oracle_wer": 100 * oracle / max(1, total), "tried": tried}
