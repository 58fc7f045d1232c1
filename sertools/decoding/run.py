"""Decoding of many utterances into a folder: with a language model, or greedily."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

from sertools.decoding.graph import compile_graph, load_graph, save_graph
from sertools.decoding.greedy import greedy_phones, phone_errors
from sertools.decoding.lattice import Lattice, best_path, confidences, n_best, save_lattices
from sertools.decoding.search import SearchConfig, Searcher, make_searcher
from sertools.decoding.transcripts import Transcript, write_transcripts
from sertools.decoding.viterbi import PhoneDecoder
from sertools.decoding.wer import count_errors, score, spoken
from sertools.errors import UserError
from sertools.files import only_writer, read_json, write_json, write_text
from sertools.lang.arpa import read_arpa
from sertools.lang.folder import load_lexicon
from sertools.lang.lexicon import Lexicon
from sertools.lfmmi.graph import Graph
from sertools.lfmmi.topology import Topology
from sertools.provenance import Stamp, begin, why_stale, write_stamp

log = logging.getLogger(__name__)

GRAPH, SCALE, TABLE, PHONES = "graph.safetensors", "lm_scale.json", "transcripts.csv", "phone_errors.json"


@dataclass(frozen=True)
class Reference:
    """What is known of an utterance.

    Attributes:
        speaker: who says it.
        text: the transcript, not normalised.
    """

    speaker: str
    text: str


@dataclass(frozen=True)
class DecodeConfig:
    """``conf/decode.yaml``.

    Attributes:
        search: how wide to search.
        search_lm_scale: factor of the scores of the graph (language model, pronunciations,
            silence) while searching; the network's have the factor 1.
        lm_scales: from these the factor for the best path is chosen on dev.
        confidence_scale: of all scores for posterior probabilities; below 1 for less sure ones.
        batch_size: utterances searched at once; k2 takes half a GB or so for each.
        n_best: write so many best transcripts of each utterance; 0 for none.
    """

    search: SearchConfig = field(default_factory=SearchConfig)
    search_lm_scale: float = 1.0
    lm_scales: tuple[float, ...] = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.4, 1.6, 2.0)
    confidence_scale: float = 1.0
    batch_size: int = 2
    n_best: int = 0

    def __post_init__(self) -> None:
        if not self.lm_scales or min(self.lm_scales) <= 0 or self.search_lm_scale <= 0:
            raise ValueError("lm_scales and search_lm_scale must be positive numbers")
        if self.batch_size < 1 or self.n_best < 0:
            raise ValueError("batch_size must be at least 1, n_best at least 0")


def make_decoding_graph(
    topology: Topology, lang_dir: Path, arpa: Path, output_dir: Path, silence_prob: float = 0.5
) -> str | None:
    """Compile HLG and write ``graph.safetensors``.

    Returns:
        why it was made; None if it was up to date.

    Raises:
        UserError: the lang folder has other phones than the topology.
    """
    config = {"topology": vars(topology.config), "num_phones": topology.num_phones, "silence_prob": silence_prob}
    inputs = {"lm": arpa} | {name: lang_dir / name for name in ("phones.txt", "words.txt", "lexiconp.txt", "lang.json")}
    with only_writer(output_dir):
        stamp = Stamp.of(config, dict(inputs))
        why = why_stale(output_dir, stamp)
        if why is not None:
            begin(output_dir)
            lexicon = load_lexicon(lang_dir)
            if lexicon.num_phones != topology.num_phones:
                raise UserError(
                    f"{lang_dir} has {lexicon.num_phones} phones, the acoustic model {topology.num_phones}; "
                    "take the lang folder that the model was trained with"
                )
            save_graph(compile_graph(topology, lexicon, read_arpa(arpa), silence_prob), output_dir / GRAPH)
            write_stamp(output_dir, stamp, [GRAPH])
    return why


def decode_words(
    log_likelihoods: Iterable[tuple[str, Tensor]],
    references: Mapping[str, Reference],
    graph_dir: Path,
    lexicon: Lexicon,
    config: DecodeConfig,
    output_dir: Path,
    lm_scale: float | None = None,
    keep_lattices: bool = False,
) -> list[str]:
    """Decode with a language model and score.

    Args:
        log_likelihoods: (id, (T, P)) of each utterance.
        references: id to what was said.
        graph_dir: made by :func:`make_decoding_graph`.
        lexicon: whose words the graph puts out.
        config: see :class:`DecodeConfig`.
        output_dir: for transcripts.csv, lm_scale.json, the files of sertools.decoding.wer.score.
        lm_scale: for the best path; None to choose the best of ``config.lm_scales`` here (dev).
        keep_lattices: write lattices.safetensors.

    Returns:
        the names of the files.
    """
    searcher = make_searcher(load_graph(graph_dir / GRAPH), config.search, config.search_lm_scale)
    lattices = dict(_search(log_likelihoods, searcher, config.batch_size))
    _check_all_there(lattices, references)
    empty = sorted(name for name, lattice in lattices.items() if not len(lattice.sources))
    if empty:
        log.warning("no path was found in %d of %d utterances, for example %s", len(empty), len(lattices), empty[0])
    if lm_scale is None:
        lm_scale = choose_lm_scale(lattices, references, lexicon, config.lm_scales, output_dir / SCALE)
    else:
        write_json(output_dir / SCALE, {"lm_scale": lm_scale, "chosen": "elsewhere"})
    transcripts, alternatives = [], []
    for name, lattice in sorted(lattices.items()):
        path = best_path(lattice, lm_scale)
        sure = confidences(lattice, path, lm_scale, config.confidence_scale)
        transcripts.append(_transcript(name, references[name], lexicon, _spell(path.words, lexicon), sure))
        for rank, (words, value) in enumerate(n_best(lattice, lm_scale, config.n_best) if config.n_best else [], 1):
            alternatives.append(f"{name} {rank} {value:.4f} {' '.join(_spell(words, lexicon))}\n")
    files = [TABLE, SCALE, *_write_and_score(transcripts, output_dir)]
    if config.n_best:
        write_text(output_dir / "n_best.txt", "".join(alternatives))
        files.append("n_best.txt")
    if keep_lattices:
        save_lattices(sorted(lattices.items()), output_dir / "lattices.safetensors")
        files.append("lattices.safetensors")
    return files


def decode_phones(
    log_likelihoods: Iterable[tuple[str, Tensor]],
    references: Mapping[str, Reference],
    topology: Topology,
    lexicon: Lexicon,
    output_dir: Path,
    phone_lm: Graph | None = None,
) -> list[str]:
    """Decode without words in mind: phone error rate, and words where the units spell them.

    The reference phones are the most probable pronunciations, without silence; so are the decoded
    ones.  With a dictionary there is no transcripts.csv.

    Args:
        log_likelihoods: (id, (T, P)) of each utterance.
        references: id to what was said.
        topology: what the pdfs mean.
        lexicon: with the same phones.
        phone_lm: the denominator graph, whose best path is taken; None for the best pdf of each
            frame (greedy), which suits CTC and says little of LF-MMI.
        output_dir: for phone_errors.json, and with characters or sentencepiece units transcripts.csv
            and the files of sertools.decoding.wer.score.

    Returns:
        the names of the files.
    """
    decoder = None if phone_lm is None else PhoneDecoder(phone_lm, topology)
    decoded = {
        name: greedy_phones(values, topology)
        if decoder is None
        else decoder(values[None], torch.tensor([len(values)]))[0]
        for name, values in log_likelihoods
    }
    _check_all_there(decoded, references)
    counts = [
        phone_errors(lexicon.text_to_phones(references[name].text), phones, lexicon.silence)
        for name, phones in sorted(decoded.items())
    ]
    errors, total = sum(wrong for wrong, _ in counts), sum(number for _, number in counts)
    if total == 0:
        raise UserError("the transcripts hold no words, so there is no phone error rate")
    rate = 100 * errors / total
    how = "greedy" if phone_lm is None else "best path with the phone language model"
    log.info("phone error rate %.2f %% (%d of %d; %s)", rate, errors, total, how)
    write_json(output_dir / PHONES, {"phone_error_rate": rate, "errors": errors, "phones": total, "decoding": how})
    if not lexicon.spells_words:
        return [PHONES]
    transcripts = [
        _transcript(name, references[name], lexicon, tuple(lexicon.phones_to_words(phones)))
        for name, phones in sorted(decoded.items())
    ]
    return [PHONES, TABLE, *_write_and_score(transcripts, output_dir)]


def choose_lm_scale(
    lattices: Mapping[str, Lattice],
    references: Mapping[str, Reference],
    lexicon: Lexicon,
    scales: Sequence[float],
    path: Path,
) -> float:
    """The scale with the fewest word errors, of equal ones that nearest to 1; all are written to ``path``."""
    normalised = {name: spoken(lexicon.normalise(references[name].text)) for name in lattices}
    errors = {
        scale: sum(
            count_errors(normalised[name], spoken(_spell(best_path(lattice, scale).words, lexicon))).total
            for name, lattice in lattices.items()
        )
        for scale in scales
    }
    chosen = min(scales, key=lambda scale: (errors[scale], abs(scale - 1.0)))
    if len(scales) > 1 and chosen in (min(scales), max(scales)):
        log.warning("the best language model scale, %g, is at the end of those tried: try more (lm_scales)", chosen)
    words = sum(map(len, normalised.values()))
    log.info("language model scale %g: WER %.2f %%", chosen, 100 * errors[chosen] / max(1, words))
    table = [{"lm_scale": scale, "errors": errors[scale], "words": words} for scale in scales]
    write_json(path, {"lm_scale": chosen, "chosen": "here", "tried": table})
    return chosen


def read_lm_scale(directory: Path) -> float:
    """The language model scale that was chosen when the dev utterances were decoded into ``directory``."""
    return float(read_json(directory / SCALE, "local/decode.py on the dev cuts")["lm_scale"])


def _search(
    log_likelihoods: Iterable[tuple[str, Tensor]], searcher: Searcher, batch_size: int
) -> Iterator[tuple[str, Lattice]]:
    stream, done = iter(log_likelihoods), 0
    while batch := list(islice(stream, batch_size)):
        yield from zip([name for name, _ in batch], searcher([values for _, values in batch]), strict=True)
        done += len(batch)
        if done // 500 > (done - len(batch)) // 500:
            log.info("%d utterances decoded", done)


def _check_all_there(found: Mapping[str, object], references: Mapping[str, Reference]) -> None:
    missing = sorted(references.keys() - found.keys())
    if missing:
        raise UserError(f"the network gave no output for {len(missing)} utterances, for example {missing[0]}")


def _spell(words: Iterable[int], lexicon: Lexicon) -> tuple[str, ...]:
    return tuple(lexicon.words[word - 1] for word in words)


def _transcript(
    name: str, reference: Reference, lexicon: Lexicon, words: tuple[str, ...], confidence: tuple[float, ...] = ()
) -> Transcript:
    return Transcript(name, reference.speaker, tuple(lexicon.normalise(reference.text)), words, confidence)


def _write_and_score(transcripts: list[Transcript], output_dir: Path) -> list[str]:
    write_transcripts(transcripts, output_dir / TABLE)
    result = score(output_dir / TABLE, output_dir)
    log.info("WER %.2f %% (95 %% interval %.2f to %.2f), CER %.2f %%", result.wer, result.low, result.high, result.cer)
    return ["wer.json", "wer.txt", "per_speaker.csv", "aligned.txt"]
