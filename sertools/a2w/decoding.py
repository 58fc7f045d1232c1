"""Recognition of many utterances into a folder: transcripts, WER, and how attention went through some."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import torch

from sertools.a2w.plot import attention_plot
from sertools.a2w.training import VOCABULARY, Recogniser, load_a2w
from sertools.config import to_dict
from sertools.data.entries import entry_of
from sertools.data.reader import Reader
from sertools.data.transcribed import Batch, batches_in_order
from sertools.decoding.beam_search import BeamConfig, Hypothesis, beam_search
from sertools.decoding.run import TABLE, Reference
from sertools.decoding.transcripts import Transcript, write_transcripts
from sertools.decoding.wer import count_errors, score, spoken
from sertools.errors import UserError
from sertools.features.origin import check_origin
from sertools.files import only_writer, read_json, replacing, require, write_json
from sertools.lang.transcripts import transcript
from sertools.lang.vocabulary import SETTINGS, Vocabulary
from sertools.manifests import load_cuts
from sertools.provenance import Stamp, begin, made_with, require_whole, why_stale, write_stamp
from sertools.training.checkpoint import CONFIG, INFO, WEIGHTS

log = logging.getLogger(__name__)

MADE_BY = "local/decode_a2w.py"
SEARCH = "search.json"
SCORES = ("wer.json", "wer.txt", "per_speaker.csv", "aligned.txt")


@dataclass(frozen=True)
class A2wDecodeConfig:
    """``conf/decode_a2w.yaml``.

    Attributes:
        beam: hypotheses that are followed.
        max_tokens, tokens_per_frame: of a hypothesis, see BeamConfig.
        length_powers: from these the exponent of the number of tokens, by which a score is divided, is
            chosen on dev; the first is used until then.
        coverages: then the weight of coverage, likewise.
        coverage_threshold: see BeamConfig.
        batch_frames: utterances are computed together up to so many frames.
        plots: of so many utterances the attention is drawn.
    """

    beam: int = 4
    max_tokens: int = 200
    tokens_per_frame: float = 0.0
    length_powers: tuple[float, ...] = (1.0, 0.0, 0.5)
    coverages: tuple[float, ...] = (0.0, 0.001, 0.005)
    coverage_threshold: float = 0.5
    batch_frames: int = 10000
    plots: int = 4

    def __post_init__(self) -> None:
        if not self.length_powers or not self.coverages or min(self.length_powers) < 0 or min(self.coverages) < 0:
            raise ValueError("length_powers and coverages must be lists of numbers from 0 up")
        if self.plots < 0:
            raise ValueError("plots must be at least 0")
        self.search(self.length_powers[0], self.coverages[0])  # raises where something else is wrong

    def search(self, length_power: float, coverage: float) -> BeamConfig:
        """The search with these two."""
        return BeamConfig(self.beam, self.max_tokens, length_power, coverage, self.coverage_threshold,
                          tokens_per_frame=self.tokens_per_frame)  # fmt: skip


@dataclass(frozen=True)
class Found:
    """What was recognised in one utterance: the best hypothesis."""

    id: str
    hypothesis: Hypothesis


def recognise(recogniser: Recogniser, reader: Reader, search: BeamConfig, batch_frames: int) -> Iterator[Found]:
    """The best hypothesis of every utterance, by length; see :func:`reader_of`."""
    for batch, hypotheses in search_all(recogniser, reader, search, batch_frames):
        for row, index in enumerate(batch.indices):
            yield Found(reader.entries[index].id, hypotheses[row][0])


@torch.no_grad()
def search_all(
    recogniser: Recogniser, reader: Reader, search: BeamConfig, batch_frames: int
) -> Iterator[tuple[Batch, list[list[Hypothesis]]]]:
    """Batches of utterances, by length, and the hypotheses of each utterance, best first."""
    model = recogniser.model
    for batch in batches_in_order(reader, lambda text: None, batch_frames).load(0, 0, False):
        encoding = model.encode(batch.features.to(model.device), batch.lengths)
        yield batch, beam_search(model, encoding, search)


def reader_of(recogniser: Recogniser, cuts: Iterable[Any], where: str, memory_gb: float = 4.0) -> Reader:
    """The features of cuts.

    Raises:
        UserError: features are missing, or of another dimension than the network's.
    """
    entries = [entry_of(cut, False, where, transcript=False) for cut in cuts]
    if not entries:
        raise UserError(f"{where} is empty")
    reader = Reader(entries, memory_gb)
    wanted = recogniser.config.model.feature_dim
    if reader.feature_dim != wanted:
        raise UserError(f"{where} has features of dimension {reader.feature_dim}, {recogniser.name} takes {wanted}")
    return reader


def decode_a2w(
    checkpoint: Path,
    cuts_path: Path,
    output_dir: Path,
    config: A2wDecodeConfig,
    *,
    search_dir: Path | None = None,
    device: str = "cpu",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> str | None:
    """Recognise and score.

    Args:
        checkpoint: folder of :func:`sertools.a2w.training.train_a2w`.
        cuts_path: cuts with features and transcripts.
        output_dir: for transcripts.csv, wer.* as sertools.decoding.wer.score writes them, search.json
            and attention/ID.png.
        config: see :class:`A2wDecodeConfig`.
        search_dir: output folder of the dev utterances, whose length power and coverage are taken; None
            to choose them on these cuts.
        device: a torch device.
        progress: called with (utterances searched, in all).

    Returns:
        why it was done; None if it was up to date.

    Raises:
        UserError: something is missing, or the features are not what the recogniser was trained on.
    """
    require_whole(checkpoint, "local/train_a2w.py")
    inputs = {name: require(checkpoint / name, "local/train_a2w.py")
              for name in (WEIGHTS, CONFIG, INFO, f"{VOCABULARY}/{SETTINGS}")}  # fmt: skip
    inputs["cuts"] = require_whole(cuts_path, "the feature stage (local/collect_features.py)")
    if search_dir is not None:
        inputs["search"] = require_whole(search_dir / SEARCH, f"{MADE_BY} on the dev cuts")
    with only_writer(output_dir):
        stamp = Stamp.of(to_dict(config), dict(inputs))
        why = why_stale(output_dir, stamp)
        if why is None:
            return None
        begin(output_dir)
        recogniser = load_a2w(checkpoint, device)
        check_origin(recogniser.features, made_with(cuts_path), str(cuts_path), recogniser.name)
        cuts = load_cuts(cuts_path)
        references = {cut.id: Reference(cut.supervisions[0].speaker or "unknown", transcript(cut)) for cut in cuts}
        reader = reader_of(recogniser, cuts, str(cuts_path))
        searches = _Searches(recogniser, reader, references, config, progress)
        if search_dir is None:
            found, chosen = searches.choose()
        else:
            chosen = _chosen_in(search_dir)
            found = searches(*chosen)
        unfinished = sorted(one.id for one in found if not one.hypothesis.ended)
        if unfinished:
            log.warning("%d of %d hypotheses (%.1f %%) did not end within %d tokens%s, for example %s", len(unfinished),
                        len(found), 100 * len(unfinished) / len(found), config.max_tokens,
                        f" or {config.tokens_per_frame} a frame" if config.tokens_per_frame else "",
                        unfinished[0])  # fmt: skip
        record = {"length_power": chosen[0], "coverage": chosen[1], "unfinished": unfinished,
                  "chosen": "here" if search_dir is None else "elsewhere", "tried": searches.tried}  # fmt: skip
        write_json(output_dir / SEARCH, record)
        files = [SEARCH, TABLE, *write_and_score(found, references, recogniser.vocabulary, output_dir)]
        files += _draw(found[:: max(1, len(found) // max(config.plots, 1))][: config.plots], recogniser.vocabulary,
                       {cut.id: cut.duration for cut in cuts}, output_dir)  # fmt: skip
        write_stamp(output_dir, stamp, files)
    return why


class _Searches:
    """Searches through the same utterances with several settings."""

    def __init__(
        self, recogniser: Recogniser, reader: Reader, references: Mapping[str, Reference], config: A2wDecodeConfig,
        progress: Callable[[int, int], None],
    ) -> None:  # fmt: skip
        self.recogniser = recogniser
        self.reader = reader
        self.config = config
        self.progress = progress
        vocabulary = recogniser.vocabulary
        self.references = {name: spoken(vocabulary.normalise(one.text)) for name, one in references.items()}
        self.tried: list[dict[str, Any]] = []

    def __call__(self, length_power: float, coverage: float) -> list[Found]:
        """The utterances, by id."""
        found = []
        search = self.config.search(length_power, coverage)
        for one in recognise(self.recogniser, self.reader, search, self.config.batch_frames):
            found.append(one)
            self.progress(len(found), len(self.references))
        return sorted(found, key=lambda one: one.id)

    def choose(self) -> tuple[list[Found], tuple[float, float]]:
        """Length power, then coverage, with the fewest word errors; of equal ones the first of the list."""
        config = self.config
        best = self._try(config.length_powers[0], config.coverages[0])
        for power in config.length_powers[1:]:
            best = min(best, self._try(power, config.coverages[0]), key=lambda one: one[0])
        for coverage in config.coverages[1:]:
            best = min(best, self._try(best[2][0], coverage), key=lambda one: one[0])
        _, found, (power, coverage) = best
        log.info("chosen: length power %g, coverage %g", power, coverage)
        return found, (power, coverage)

    def _try(self, length_power: float, coverage: float) -> tuple[int, list[Found], tuple[float, float]]:
        found = self(length_power, coverage)
        errors = sum(
            count_errors(self.references[one.id], spoken(self.recogniser.vocabulary.words(one.hypothesis.tokens))).total
            for one in found
        )
        words = sum(map(len, self.references.values()))
        log.info("length power %g, coverage %g: WER %.2f %%", length_power, coverage, 100 * errors / max(1, words))
        self.tried.append({"length_power": length_power, "coverage": coverage, "errors": errors, "words": words})
        return errors, found, (length_power, coverage)


def write_and_score(
    found: Iterable[Found], references: Mapping[str, Reference], vocabulary: Vocabulary, output_dir: Path
) -> list[str]:
    """Write transcripts.csv and what sertools.decoding.wer.score makes of it; the names of the latter."""
    transcripts = [
        Transcript(
            one.id, references[one.id].speaker, tuple(vocabulary.normalise(references[one.id].text)),
            tuple(vocabulary.words(one.hypothesis.tokens)),
        )
        for one in found
    ]  # fmt: skip
    write_transcripts(transcripts, output_dir / TABLE)
    result = score(output_dir / TABLE, output_dir)
    log.info("WER %.2f %% (95 %% interval %.2f to %.2f), CER %.2f %%", result.wer, result.low, result.high, result.cer)
    return list(SCORES)


def _chosen_in(directory: Path) -> tuple[float, float]:
    record = read_json(directory / SEARCH, f"{MADE_BY} on the dev cuts")
    return float(record["length_power"]), float(record["coverage"])


def _draw(found: list[Found], vocabulary: Vocabulary, seconds: Mapping[str, float], output_dir: Path) -> list[str]:
    """Plots of the attention in some utterances; their names."""
    directory = output_dir / "attention"
    directory.mkdir(exist_ok=True)
    for old in directory.glob("*.png"):
        old.unlink()
    files = []
    for index, one in enumerate(found):
        tokens = [vocabulary.tokens[number] for number in one.hypothesis.tokens]
        # an id may have slashes, and be as long as it likes
        quoted = quote(one.id, safe="")
        name = f"{quoted}.png" if len(quoted) <= 200 else f"{quoted[:180]}-{index}.png"
        with replacing(directory / name) as temporary:
            temporary.write_bytes(attention_plot(one.hypothesis.weights, tokens, seconds[one.id], one.id))
        files.append(f"attention/{name}")
    return files
