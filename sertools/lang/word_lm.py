"""The word language model of a lang folder, made of transcripts and text files."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from sertools.config import to_dict
from sertools.files import content_hash, json_hash, only_writer, write_json
from sertools.lang.arpa import write_arpa
from sertools.lang.folder import load_lexicon
from sertools.lang.ngram import NgramConfig, estimate, perplexity
from sertools.provenance import Stamp, begin, why_stale, write_stamp

log = logging.getLogger(__name__)

MODEL, PERPLEXITY = "lm.arpa.gz", "perplexity.json"


def make_word_lm(
    lang_dir: Path | str,
    texts: Mapping[str, Sequence[str]],
    dev: Mapping[str, Sequence[str]],
    config: NgramConfig,
    output_dir: Path | str,
) -> str | None:
    """Estimate a model, write it and the perplexities of ``dev``.

    Args:
        lang_dir: its words are the vocabulary, its way to write words is used.
        texts: name to sentences to learn from.
        dev: name to sentences to measure.
        config: order and cut-offs.
        output_dir: for ``lm.arpa.gz`` and ``perplexity.json``.

    Returns:
        why it was made; None if it was up to date.
    """
    output_dir, lang_dir = Path(output_dir), Path(lang_dir)
    hashes = {"lang": content_hash(lang_dir / "lang.json"), "words": content_hash(lang_dir / "words.txt")}
    hashes |= {f"text {name}": json_hash(list(lines)) for name, lines in texts.items()}
    hashes |= {f"dev {name}": json_hash(list(lines)) for name, lines in dev.items()}
    stamp = Stamp(to_dict(config), hashes)
    with only_writer(output_dir):
        why = why_stale(output_dir, stamp)
        if why is None:
            return None
        begin(output_dir)
        lexicon = load_lexicon(lang_dir)
        sentences = [lexicon.normalise(line) for lines in texts.values() for line in lines]
        model = estimate(sentences, config, lexicon.words)
        log.info("n-grams of order 1 to %d: %s", model.order, ", ".join(str(len(table)) for table in model.log_probs))
        measured = {}
        for name, lines in {"training text": [" ".join(words) for words in sentences], **dev}.items():
            value = perplexity(model, [lexicon.normalise(line) for line in lines])
            measured[name] = asdict(value)
            log.info(
                "%s: perplexity %.1f, %d words, %d (%.2f %%) of them unknown",
                name, value.perplexity, value.words, value.unknown, 100 * value.unknown / max(1, value.words),
            )  # fmt: skip
        write_arpa(model, output_dir / MODEL)
        write_json(output_dir / PERPLEXITY, measured)
        write_stamp(output_dir, stamp, [MODEL, PERPLEXITY])
    return why
