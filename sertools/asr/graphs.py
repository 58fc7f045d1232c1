"""The graphs of LF-MMI training as a folder: phone language model, denominator, and what they are of."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from sertools.config import from_dict, to_dict
from sertools.errors import UserError
from sertools.files import only_writer, read_json, replacing, require, write_json
from sertools.lang.folder import load_lexicon
from sertools.lang.lexicon import Lexicon
from sertools.lang.transcripts import read_texts
from sertools.lfmmi import Graph, PhoneLm, Topology, TopologyConfig, estimate_phone_lm, make_denominator, make_numerator
from sertools.limits import GRAPHS as GRAPHS_FIELDS
from sertools.provenance import Stamp, begin, require_whole, why_stale, write_stamp
from sertools.training.checkpoint import save_tensors

__all__ = ["Graphs", "GraphsConfig", "Numerators", "load_graphs", "make_graphs", "pack", "unpack"]

log = logging.getLogger(__name__)

MADE_BY = "the graphs stage (local/make_lfmmi_graphs.py)"
GRAPHS, DENOMINATOR, PHONE_LM = "graphs.json", "denominator.safetensors", "phone_lm.safetensors"


@dataclass(frozen=True)
class PhoneLmConfig:
    """The phone language model of the denominator, see sertools.lfmmi.estimate_phone_lm.

    Attributes:
        order: of the n-gram.
        no_prune_order: histories up to one phone less are all kept.
        num_extra_states: so many longer histories are kept besides.
        samples: every transcript is counted so many times, with other pronunciations and silences.
        edge_silence, between_silence: probability of silence at the ends of an utterance and
            between words in these samples (Kaldi's text_to_phones.py: 0.8 and 0.2).
        seed: of the samples.
    """

    order: int = 4
    no_prune_order: int = 3
    num_extra_states: int = 2000
    samples: int = 5
    edge_silence: float = 0.8
    between_silence: float = 0.2
    seed: int = 0


@dataclass(frozen=True)
class GraphsConfig:
    """``conf/graphs.yaml``.

    Attributes:
        topology: what the outputs of the network mean.
        phone_lm: see :class:`PhoneLmConfig`.
        silence_prob: of optional silence at each place of a numerator (Kaldi: 0.5).
    """

    topology: TopologyConfig = field(default_factory=TopologyConfig)
    phone_lm: PhoneLmConfig = field(default_factory=PhoneLmConfig)
    silence_prob: float = 0.5


@dataclass(frozen=True)
class Graphs:
    """What a graph folder holds.

    Attributes:
        config: what they were made with.
        topology: pdfs of the phones.
        phones: names, those of the lexicon.
        lm: the phone language model.
        denominator: the denominator graph.
    """

    config: GraphsConfig
    topology: Topology
    phones: tuple[str, ...]
    lm: PhoneLm
    denominator: Graph


def make_graphs(lang_dir: Path, cuts_path: Path, directory: Path, config: GraphsConfig) -> str | None:
    """Estimate the phone language model on training transcripts and write the graph folder.

    Args:
        lang_dir: the lang folder.
        cuts_path: training cuts; perturbed copies count as what they are.
        directory: the graph folder.
        config: see :class:`GraphsConfig`.

    Returns:
        Why it was made; None if it was up to date.

    Raises:
        UserError: see read_texts, load_lexicon, estimate_phone_lm.
    """
    inputs = {"cuts": cuts_path} | {name: lang_dir / name for name in ("phones.txt", "lexiconp.txt", "lang.json")}
    for path in inputs.values():
        require_whole(path, "the lang stage (local/prepare_lang.py)" if path != cuts_path else "the feature stage")
    with only_writer(directory):
        stamp = Stamp.of(to_dict(config), dict(inputs))
        why = why_stale(directory, stamp)
        if why is None:
            return None
        begin(directory)
        lexicon = load_lexicon(lang_dir)
        options = config.phone_lm
        sequences = phone_sequences(sorted(set(read_texts(cuts_path))), lexicon, options)
        lm = estimate_phone_lm(sequences, options.order, options.no_prune_order, options.num_extra_states)
        topology = Topology(config.topology, lexicon.num_phones)
        denominator = make_denominator(lm, topology)
        log.info("phone language model: %d states, %d arcs", lm.num_states, len(lm.arcs))
        log.info("denominator: %d states, %d arcs; %d outputs of the network", denominator.num_states,
                 denominator.num_arcs, topology.num_pdfs)  # fmt: skip
        with replacing(directory / DENOMINATOR) as temporary:
            save_tensors(temporary, {k: v for k, v in vars(denominator).items() if isinstance(v, Tensor)})
        with replacing(directory / PHONE_LM) as temporary:
            save_tensors(temporary, _lm_tensors(lm))
        record = {"config": to_dict(config), "phones": list(lexicon.phones), "num_pdfs": topology.num_pdfs,
                  "lm_start": lm.start, "lm_states": lm.num_states, "states": denominator.num_states}  # fmt: skip
        write_json(directory / GRAPHS, record)
        write_stamp(directory, stamp, [GRAPHS, DENOMINATOR, PHONE_LM])
    return why


def load_graphs(directory: Path) -> Graphs:
    """Read a graph folder.

    Raises:
        UserError: it is not there, not whole or damaged.
    """
    record = read_json(require_whole(directory, MADE_BY) / GRAPHS, MADE_BY)
    GRAPHS_FIELDS.check(record, str(directory / GRAPHS))
    config = from_dict(GraphsConfig, record["config"], str(directory / GRAPHS))
    try:
        lm = _lm_from(load_file(str(require(directory / PHONE_LM, MADE_BY))), record["lm_start"], record["lm_states"])
        denominator = Graph(record["states"], **load_file(str(require(directory / DENOMINATOR, MADE_BY))))
    except (SafetensorError, KeyError, TypeError) as error:
        raise UserError(f"{directory} is damaged ({error}); make it again with {MADE_BY}") from error
    phones = tuple(record["phones"])
    return Graphs(config, Topology(config.topology, len(phones)), phones, lm, denominator)


def phone_sequences(texts: Iterable[str], lexicon: Lexicon, config: PhoneLmConfig) -> Iterator[list[int]]:
    """What the phone language model is estimated on: transcripts with pronunciations and silences by chance.

    There are no alignments at a flat start, so both are sampled, as Kaldi's end-to-end recipe
    does (steps/nnet3/chain/e2e/text_to_phones.py).
    """
    generator = np.random.default_rng(config.seed)
    silence = lexicon.silence
    for text in texts:
        words = lexicon.words_to_pronunciations(text)
        for _ in range(config.samples):
            phones: list[int] = []
            for number, variants in enumerate(words):
                place = config.edge_silence if number == 0 else config.between_silence
                if silence is not None and generator.random() < place:
                    phones.append(silence)
                weights = np.exp([score for _, score in variants])
                phones += variants[generator.choice(len(variants), p=weights / weights.sum())][0]
            if silence is not None and generator.random() < config.edge_silence:
                phones.append(silence)
            if phones:
                yield phones


class Numerators:
    """The numerator graph of a text, made when first asked for.

    Args:
        graphs: of the folder.
        lexicon: with the same phones.
        keep: remember them all (texts come again every epoch).

    Raises:
        UserError: graphs and lexicon have other phones.
    """

    def __init__(self, graphs: Graphs, lexicon: Lexicon, keep: bool = True) -> None:
        if graphs.phones != lexicon.phones:
            raise UserError(
                "the graphs were made with another list of phones than the lang folder's; run the graphs stage again"
            )
        self.graphs = graphs
        self.lexicon = lexicon
        self.keep = keep
        self._kept: dict[str, tuple[Any, ...] | None] = {}

    def __call__(self, text: str) -> tuple[Any, ...] | None:
        """The packed graph of a text (see :func:`unpack`), or None if the phone LM allows no path."""
        if text in self._kept:
            return self._kept[text]
        words = self.lexicon.words_to_pronunciations(text)
        graph = make_numerator(
            words, self.lexicon.silence, self.graphs.config.silence_prob, self.graphs.topology, self.graphs.lm
        )
        packed = None if graph is None else pack(graph)
        if self.keep:
            self._kept[text] = packed
        return packed


def pack(graph: Graph) -> tuple[Any, ...]:
    """A graph as numpy arrays, small enough to keep, and fit to be sent between processes."""
    integers = [getattr(graph, name).numpy().astype(np.int32) for name in ("sources", "targets", "pdfs")]
    return (graph.num_states, *integers, *(getattr(graph, n).numpy() for n in ("log_probs", "initial", "final")))


def unpack(packed: tuple[Any, ...] | None) -> Graph | None:
    """The inverse of :func:`pack`."""
    if packed is None:
        return None
    size, *arrays = packed
    tensors = [torch.from_numpy(array) for array in arrays]
    return Graph(size, *(tensor.long() for tensor in tensors[:3]), *tensors[3:])


def _lm_tensors(lm: PhoneLm) -> dict[str, Tensor]:
    width = max(map(len, lm.histories), default=0)
    return {
        "arcs": torch.tensor([(s, p, t) for s, p, _, t in lm.arcs], dtype=torch.int64).reshape(-1, 3),
        "log_probs": torch.tensor([arc[2] for arc in lm.arcs], dtype=torch.float64),
        "final_states": torch.tensor(list(lm.final), dtype=torch.int64),
        "final_log_probs": torch.tensor(list(lm.final.values()), dtype=torch.float64),
        "counts": torch.tensor(lm.counts, dtype=torch.int64),
        "histories": torch.tensor([[*h, *[-1] * (width - len(h))] for h in lm.histories], dtype=torch.int64),
    }


def _lm_from(tensors: dict[str, Tensor], start: int, num_states: int) -> PhoneLm:
    rows: Sequence[list[int]] = tensors["arcs"].tolist()
    arcs = tuple((s, p, w, t) for (s, p, t), w in zip(rows, tensors["log_probs"].tolist(), strict=True))
    final = dict(zip(tensors["final_states"].tolist(), tensors["final_log_probs"].tolist(), strict=True))
    histories = tuple(tuple(p for p in row if p >= 0) for row in tensors["histories"].tolist())
    return PhoneLm(num_states, start, arcs, final, histories, tuple(tensors["counts"].tolist()))
