"""What is wrong with a corpus: collected, written to a report, and never passed over in silence."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sertools.errors import UserError
from sertools.files import write_text

log = logging.getLogger(__name__)

REPORT = "problems.txt"
SHOWN = 10


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a corpus.

    Attributes:
        kind: a few words that problems are counted by ("truncated audio").
        file: the file or folder at fault.
        reason: what is wrong with it, one line.
        line: line number from 1, where the file is a text file.
    """

    kind: str
    file: str
    reason: str
    line: int | None = None

    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{where}: {self.kind}: {self.reason}"


def count_kinds(problems: Sequence[Problem]) -> dict[str, int]:
    """Number of problems of each kind, kinds in alphabetical order."""
    return dict(sorted(Counter(problem.kind for problem in problems).items()))


def write_report(path: Path, problems: Sequence[Problem], notes: Sequence[str]) -> None:
    """Write every problem and every note to the text file ``path``."""
    lines = [f"{len(problems)} problems"]
    lines += [f"  {count} x {kind}" for kind, count in count_kinds(problems).items()]
    lines += [str(problem) for problem in sorted(problems, key=_order)]
    lines += ["", f"{len(notes)} notes", *notes]
    write_text(path, "\n".join(lines) + "\n")


def judge(problems: Sequence[Problem], report: Path, skip_bad: bool) -> None:
    """Stop at problems, or log them where the user asked to go on without what is bad.

    Raises:
        UserError: there are problems and not ``skip_bad``; it shows the first ten, the counts
            of all kinds and where the report is.
    """
    if not problems:
        return
    counts = ", ".join(f"{count} x {kind}" for kind, count in count_kinds(problems).items())
    if skip_bad:
        log.warning("left out because of %d problems (%s); all of them are in %s", len(problems), counts, report)
        return
    first = sorted(problems, key=_order)[:SHOWN]
    more = f"\n  ... and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
    shown = "".join(f"\n  {problem}" for problem in first)
    raise UserError(
        f"the corpus has {len(problems)} {'problem' if len(problems) == 1 else 'problems'} ({counts}):{shown}{more}\n"
        f"All of them are in {report}.  Mend the corpus (copy or unpack it again; correct its table), "
        "or give --skip-bad (run.sh: --skip-bad true) to go on without them."
    )


def _order(problem: Problem) -> tuple[str, int, str, str]:
    return problem.file, problem.line or 0, problem.kind, problem.reason
