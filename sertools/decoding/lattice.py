"""Lattices: what a search found in one utterance, as plain arrays; best paths, n-best, confidence.

Needs no k2.  All arcs of one frame lie between the states of that frame and those of the next, so
dynamic programming goes over frames with numpy.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from sertools.files import replacing, require, usual_permissions

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Lattice:
    """The paths that survived a search.

    Attributes:
        sources, targets: (A,) int32, states; 0 is the start, the last one the end.
        frames: (A,) int32, the frame an arc consumes, not decreasing; arcs of the last value, the
            number of frames, consume none and lead to the end.
        graph: (A,) float32, scores of the decoding graph, natural logarithms, not scaled.
        acoustic: (A,) float32, scores of the network.
        words: (W,) int32, word ids of all arcs one after the other.
        splits: (A + 1,) int32; arc a puts out ``words[splits[a]:splits[a + 1]]``.
    """

    sources: NDArray[np.int32]
    targets: NDArray[np.int32]
    frames: NDArray[np.int32]
    graph: NDArray[np.float32]
    acoustic: NDArray[np.float32]
    words: NDArray[np.int32]
    splits: NDArray[np.int32]

    @property
    def num_states(self) -> int:
        """Number of states."""
        return int(self.targets.max()) + 1 if len(self.targets) else 0

    def scores(self, lm_scale: float) -> Floats:
        """(A,) acoustic + lm_scale * graph."""
        return self.acoustic.astype(np.float64) + lm_scale * self.graph.astype(np.float64)

    def output(self, arc: int) -> tuple[int, ...]:
        """The word ids that an arc puts out."""
        return tuple(int(word) for word in self.words[self.splits[arc] : self.splits[arc + 1]])

    @cached_property
    def steps(self) -> tuple[slice, ...]:
        """The arcs of each frame, frames in order."""
        begins = np.flatnonzero(np.diff(self.frames, prepend=-1))
        ends = [*begins[1:], len(self.frames)]
        return tuple(slice(int(begin), int(end)) for begin, end in zip(begins, ends, strict=True))


@dataclass(frozen=True)
class BestPath:
    """The best path through a lattice.

    Attributes:
        words: word ids.
        frames: for each word the frame of the arc that puts it out, its last phone (word_tree).
        score: acoustic + lm_scale * graph.
    """

    words: tuple[int, ...]
    frames: tuple[int, ...]
    score: float


def best_path(lattice: Lattice, lm_scale: float) -> BestPath:
    """The path of highest score; no words and -inf from an empty lattice."""
    if not len(lattice.sources):
        return BestPath((), (), -np.inf)
    scores = lattice.scores(lm_scale)
    best = _start(lattice)
    last = np.full(lattice.num_states, -1, dtype=np.int64)
    for step in lattice.steps:
        found = best[lattice.sources[step]] + scores[step]
        np.maximum.at(best, lattice.targets[step], found)
        winners = np.flatnonzero(found == best[lattice.targets[step]])[::-1] + step.start
        last[lattice.targets[winners]] = winners
    words: list[int] = []
    frames: list[int] = []
    state = lattice.num_states - 1
    while state != 0:
        arc = int(last[state])
        for word in reversed(lattice.output(arc)):
            words.append(word)
            frames.append(int(lattice.frames[arc]))
        state = int(lattice.sources[arc])
    return BestPath(tuple(reversed(words)), tuple(reversed(frames)), float(best[-1]))


def prune(lattice: Lattice, lm_scale: float, beam: float) -> Lattice:
    """Only the arcs on paths that are at most ``beam`` worse than the best one."""
    if not len(lattice.sources):
        return lattice
    scores = lattice.scores(lm_scale)
    forward, backward = _start(lattice), np.full(lattice.num_states, -np.inf)
    backward[-1] = 0.0
    for step in lattice.steps:
        np.maximum.at(forward, lattice.targets[step], forward[lattice.sources[step]] + scores[step])
    for step in reversed(lattice.steps):
        np.maximum.at(backward, lattice.sources[step], backward[lattice.targets[step]] + scores[step])
    through = forward[lattice.sources] + scores + backward[lattice.targets]
    kept = np.flatnonzero(through >= forward[-1] - beam)
    _, numbers = np.unique([lattice.sources[kept], lattice.targets[kept]], return_inverse=True)
    sources, targets = numbers.reshape(2, len(kept)).astype(np.int32)
    counts = np.diff(lattice.splits)
    return Lattice(
        sources=sources,
        targets=targets,
        frames=lattice.frames[kept],
        graph=lattice.graph[kept],
        acoustic=lattice.acoustic[kept],
        words=lattice.words[np.repeat(np.isin(np.arange(len(counts)), kept), counts)],
        splits=np.concatenate([[0], np.cumsum(counts[kept])]).astype(np.int32),
    )


def n_best(lattice: Lattice, lm_scale: float, n: int) -> list[tuple[tuple[int, ...], float]]:
    """The ``n`` best different word sequences, each with the score of its best path, best first."""
    if not len(lattice.sources):
        return []
    scores = lattice.scores(lm_scale)
    # enough in each state: what n others beat here, they beat to the end
    beams: list[dict[tuple[int, ...], float]] = [{} for _ in range(lattice.num_states)]
    beams[0] = {(): 0.0}
    for step in lattice.steps:
        touched = set()
        for arc in range(step.start, step.stop):
            output, target = lattice.output(arc), int(lattice.targets[arc])
            touched.add(target)
            for words, score in beams[lattice.sources[arc]].items():
                longer, total = words + output, score + float(scores[arc])
                if total > beams[target].get(longer, -np.inf):
                    beams[target][longer] = total
        for state in touched:
            beams[state] = dict(_top(beams[state], n))
    return _top(beams[-1], n)


def posteriors(lattice: Lattice, lm_scale: float, scale: float = 1.0) -> Floats:
    """(A,) probability that a path takes an arc, paths weighted by exp(scale * score)."""
    if not len(lattice.sources):
        return np.zeros(0)
    scores = scale * lattice.scores(lm_scale)
    forward = _start(lattice)
    backward = np.full(lattice.num_states, -np.inf)
    backward[-1] = 0.0
    for step in lattice.steps:
        np.logaddexp.at(forward, lattice.targets[step], forward[lattice.sources[step]] + scores[step])
    for step in reversed(lattice.steps):
        np.logaddexp.at(backward, lattice.sources[step], backward[lattice.targets[step]] + scores[step])
    result: Floats = np.exp(forward[lattice.sources] + scores + backward[lattice.targets] - forward[-1])
    return result


def confidences(lattice: Lattice, path: BestPath, lm_scale: float, scale: float = 1.0) -> tuple[float, ...]:
    """How sure each word of the best path is.

    The posterior probability that the word is put out nearer (in frames) to where the best path
    has it than to where it has the word before or after.

    Args:
        lattice: of the utterance.
        path: its best path.
        lm_scale: as for the path.
        scale: of all scores; below 1 for networks that are too sure.

    Returns:
        for each word a number in 0 .. 1.
    """
    arc_posteriors = posteriors(lattice, lm_scale, scale)
    counts = np.diff(lattice.splits)
    owner = np.repeat(np.arange(len(counts)), counts)
    frames, weights = lattice.frames[owner], arc_posteriors[owner]
    result = []
    for number, (word, frame) in enumerate(zip(path.words, path.frames, strict=True)):
        low = (path.frames[number - 1] + frame) / 2 if number else -np.inf
        high = (path.frames[number + 1] + frame) / 2 if number + 1 < len(path.frames) else np.inf
        near = (lattice.words == word) & (frames >= low) & (frames <= high)
        result.append(min(1.0, float(weights[near].sum())))
    return tuple(result)


def save_lattices(lattices: Iterator[tuple[str, Lattice]] | list[tuple[str, Lattice]], path: Path | str) -> None:
    """Write lattices by utterance id into one safetensors file."""
    arrays = {
        f"{identity}/{name}": np.ascontiguousarray(getattr(lattice, name))
        for identity, lattice in lattices
        for name in Lattice.__dataclass_fields__
    }
    with replacing(path) as temporary:
        safetensors.numpy.save_file(arrays, temporary)
        usual_permissions(temporary)


def load_lattices(path: Path | str) -> dict[str, Lattice]:
    """Read what :func:`save_lattices` wrote, sorted by id.

    Raises:
        UserError: no such file.
    """
    arrays = safetensors.numpy.load_file(require(path, "local/decode.py --lattices"))
    identities = sorted({name.rpartition("/")[0] for name in arrays})
    return {
        identity: Lattice(**{name: arrays[f"{identity}/{name}"] for name in Lattice.__dataclass_fields__})
        for identity in identities
    }


def _start(lattice: Lattice) -> Floats:
    scores = np.full(lattice.num_states, -np.inf)
    scores[0] = 0.0
    return scores


def _top(beam: dict[tuple[int, ...], float], n: int) -> list[tuple[tuple[int, ...], float]]:
    return sorted(beam.items(), key=lambda item: (-item[1], item[0]))[:n]
