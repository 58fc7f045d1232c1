"""Making a demo corpus: once, whole, marked as synthetic, and never over somebody's real corpus."""

import logging
import multiprocessing
import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from sertools.corpora.demo import espeak
from sertools.errors import UserError
from sertools.files import only_writer, write_text
from sertools.provenance import STAMP, Stamp, made_with, why_stale, write_stamp

MARK = "SYNTHETIC"
"""The file at the root of every demo corpus that says so; preparation programs look for it."""

_VERSION = 2  # raise it when the same settings make different files
_log = logging.getLogger(__name__)

Task = TypeVar("Task")
Result = TypeVar("Result")
Progress = Callable[[int, int], None]
"""Called with (parts done, parts in all)."""


@dataclass(frozen=True)
class Made:
    """What a generator did.

    Attributes:
        why: why the corpus was made (again); None if it was up to date.
        utterances: utterances (IEMOCAP) or segments with words (TED-LIUM 2); 0 if up to date.
        seconds: their duration together.
    """

    why: str | None
    utterances: int = 0
    seconds: float = 0.0


def make_once(
    out_dir: Path,
    release: str,
    corpus: str,
    settings: dict[str, Any],
    generate: Callable[[Path], tuple[int, float]],
) -> Made:
    """Generate a corpus unless ``out_dir`` holds it already, made with the same settings.

    It is generated beside its final place and moved there when complete; an earlier one is then
    removed.  The mark is written last.

    Args:
        out_dir: gets the folder ``release``, the mark and the stamp.
        release: name of the corpus' own top folder, such as "IEMOCAP_full_release".
        corpus: its name for readers.
        settings: JSON-able; with the version of espeak-ng they decide every byte.
        generate: fills the folder it is given; returns utterances and seconds.

    Raises:
        UserError: ``out_dir`` holds a corpus that no generator made, or the demo of another corpus.
    """
    stamp = Stamp.of({"corpus": corpus, "version": _VERSION, **settings}, {"libespeak-ng": espeak.library_path()})
    mark = _mark_text(corpus, settings)
    final, work, old = out_dir / release, out_dir / f".new-{release}", out_dir / f".old-{release}"
    with only_writer(out_dir):
        _refuse_foreign(out_dir, final, corpus)
        for leftover in (work, old):
            shutil.rmtree(leftover, ignore_errors=True)
        why = why_stale(out_dir, stamp)
        if why is None and _text(out_dir / MARK) != mark:
            why = f"{out_dir / MARK} is missing or of other settings"
        if why is None:
            return Made(None)
        _log.info("making %s: %s", out_dir, why)
        try:
            utterances, seconds = generate(work / release)
            write_stamp(work, stamp, [str(p.relative_to(work)) for p in sorted(work.rglob("*")) if p.is_file()])
            if final.exists():
                final.rename(old)
            (work / STAMP).replace(out_dir / STAMP)
            (work / release).rename(final)
            write_text(out_dir / MARK, mark)
        finally:
            for leftover in (work, old):
                shutil.rmtree(leftover, ignore_errors=True)
    return Made(why, utterances, seconds)


def run_parts(
    work: Callable[[Task], Result], parts: Iterable[Task], jobs: int, progress: Progress | None
) -> list[Result]:
    """``work`` on each part, in ``jobs`` processes; the results in the order of the parts.

    Args:
        work: a function of a module, so that it can be sent to another process.
        parts: its arguments.
        jobs: processes; 1 works in this one.
        progress: told after each part.
    """
    todo, results = list(parts), []
    if jobs < 1:
        raise UserError(f"jobs must be at least 1, not {jobs}")

    def collect(done: Iterable[Result]) -> None:
        for result in done:
            results.append(result)
            if progress is not None:
                progress(len(results), len(todo))

    if jobs == 1:
        collect(map(work, todo))
    else:
        # forkserver: forking a process that has threads (torch, tqdm) can deadlock
        context = multiprocessing.get_context("forkserver")
        with ProcessPoolExecutor(jobs, mp_context=context) as pool:
            collect(pool.map(work, todo))
    return results


def _mark_text(corpus: str, settings: dict[str, Any]) -> str:
    lines = [
        f"This is not {corpus}.  It is synthetic speech in the layout of {corpus}, made by",
        "local/make_demo_corpus.py with espeak-ng so that recipes can be tried without the corpus.",
        "Results on it say nothing about speech emotion recognition or speech recognition.",
        "",
        f"corpus: {corpus}",
        f"generator version: {_VERSION}",
        f"espeak-ng: {espeak.version()}",
        *(f"{key}: {value}" for key, value in settings.items()),
    ]
    return "\n".join(lines) + "\n"


def _refuse_foreign(out_dir: Path, final: Path, corpus: str) -> None:
    if final.exists() and not (out_dir / STAMP).exists() and not (out_dir / MARK).exists():
        raise UserError(
            f"{final} exists and was not made by local/make_demo_corpus.py: it may be the real corpus, "
            "so nothing was changed; give the demo corpus another folder"
        )
    if (out_dir / STAMP).exists():
        try:
            found = (made_with(out_dir / STAMP) or {}).get("corpus")
        except UserError:  # damaged: the mark says what the folder is
            found = corpus if f"corpus: {corpus}\n" in _text(out_dir / MARK) else None
        if found != corpus:
            raise UserError(
                f"{out_dir} holds the output of another program or corpus ({found or 'unknown'}), not the demo of "
                f"{corpus}; give each its own folder"
            )


def _text(path: Path) -> str:
    """A text; empty where there is none."""
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
