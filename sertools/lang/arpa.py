"""ARPA files of back-off n-gram models (Doug Paul's format, as SRILM and KenLM write it)."""

import gzip
import io
from pathlib import Path
from typing import TextIO

from sertools.errors import UserError
from sertools.files import replacing, require
from sertools.lang.ngram import BEGIN, END, UNKNOWN, Ngram, NgramModel
from sertools.reading import open_lines


def write_arpa(model: NgramModel, path: Path | str) -> None:
    """Write a model, n-grams sorted; compressed if the name ends in ``.gz``."""
    path = Path(path)
    with replacing(path) as temporary:
        if path.suffix == ".gz":
            # without name and time, equal models are equal files
            with open(temporary, "wb") as raw, gzip.GzipFile("", "wb", 6, raw, mtime=0) as packed:
                with io.TextIOWrapper(packed, encoding="utf-8") as stream:
                    _write(model, stream)
        else:
            with open(temporary, "w", encoding="utf-8") as stream:
                _write(model, stream)


def read_arpa(path: Path | str) -> NgramModel:
    """Read a model, compressed if the name ends in ``.gz``.

    Raises:
        UserError: no such file, or not an ARPA file; the message names the line.
    """
    path = require(path, "local/make_word_lm.py, or given by you")
    with open_lines(path) as stream:
        return _read(stream, path)


def _write(model: NgramModel, stream: TextIO) -> None:
    stream.write("\\data\\\n")
    for order, table in enumerate(model.log_probs, start=1):
        stream.write(f"ngram {order}={len(table)}\n")
    for order, table in enumerate(model.log_probs, start=1):
        backoffs = model.backoffs[order - 1]
        stream.write(f"\n\\{order}-grams:\n")
        for ngram, log_prob in sorted(table.items()):
            backoff = f"\t{backoffs[ngram]:.7g}" if ngram in backoffs else ""
            stream.write(f"{log_prob:.7g}\t{' '.join(ngram)}{backoff}\n")
    stream.write("\n\\end\\\n")


def _read(stream: TextIO, path: Path) -> NgramModel:
    sizes: list[int] = []
    log_probs: list[dict[Ngram, float]] = []
    backoffs: list[dict[Ngram, float]] = []
    section = ""
    for number, line in enumerate(stream, start=1):
        line = line.strip()
        if line.startswith("\\") and line.endswith((":", "\\")) and len(line.split()) == 1:
            section = line
            if section == "\\end\\":
                break
            if section.endswith("-grams:"):
                log_probs.append({})
                backoffs.append({})
                if section != f"\\{len(log_probs)}-grams:":
                    raise UserError(f"{path}:{number}: expected \\{len(log_probs)}-grams:, not {section}")
        elif not line or not section:
            continue  # whatever comes before \data\ is a comment
        elif section == "\\data\\":
            try:
                sizes.append(int(line.partition("=")[2]))
            except ValueError as error:
                raise UserError(f"{path}:{number}: expected 'ngram N=COUNT', not '{line[:60]}'") from error
        else:
            _read_ngram(line, len(log_probs), log_probs[-1], backoffs[-1], f"{path}:{number}")
    if section != "\\end\\":
        raise UserError(f"{path} is not a whole ARPA file: it has no \\end\\")
    found = [len(table) for table in log_probs]
    if found != sizes or not sizes:
        raise UserError(f"{path} is damaged: its head promises {sizes} n-grams, there are {found}")
    for word in (BEGIN, END):
        if (word,) not in log_probs[0]:
            raise UserError(f"{path}: the word {word} is missing; a model of sentences is needed")
    return NgramModel(tuple(log_probs), tuple(backoffs))


def _read_ngram(line: str, order: int, log_probs: dict[Ngram, float], backoffs: dict[Ngram, float], where: str) -> None:
    fields = line.split()
    try:
        if len(fields) not in (order + 1, order + 2):
            raise ValueError
        ngram = tuple(UNKNOWN if word == "<UNK>" else word for word in fields[1 : order + 1])
        log_probs[ngram] = float(fields[0])
        if len(fields) == order + 2:
            backoffs[ngram] = float(fields[-1])
    except ValueError as error:
        raise UserError(
            f"{where}: expected a log10 probability, {order} words and perhaps a back-off weight, not '{line[:60]}'"
        ) from error
