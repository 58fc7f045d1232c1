"""The passes over a corpus that i-vector training is made of."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

import torch
from lhotse.cut import Cut
from torch import Tensor

from sertools.errors import UserError
from sertools.features.ivector import extractor_training, ubm_training
from sertools.features.ivector.alignments import FrameClasses
from sertools.features.ivector.config import TransformConfig
from sertools.features.ivector.extractor import IvectorExtractor
from sertools.features.ivector.extractor_training import ExtractorStatistics
from sertools.features.ivector.frames import Frames
from sertools.features.ivector.frontend import CmvnConfig, Frontend, ScatterStatistics, lda, pca, splice
from sertools.features.ivector.passes import Progress, make_batches, one_pass
from sertools.features.ivector.ubm import DiagonalUbm, PosteriorConfig
from sertools.features.ivector.ubm_training import UbmConfig, UbmStatistics
from sertools.files import json_hash


@dataclass(frozen=True)
class Corpus:
    """What to pass over, and with what.

    Attributes:
        cuts: with features.
        workers: threads.
        device: a torch device.
        progress: called with (batches done, batches in all).
        batches: the cuts.
    """

    cuts: list[Cut]
    workers: int
    device: str
    progress: Progress
    batches: list[list[Cut]] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "batches", make_batches(self.cuts))


def generator(seed: int, step: str) -> torch.Generator:
    """A generator of each step's own: a resumed training draws what an undisturbed one draws."""
    return torch.Generator().manual_seed(int(json_hash([seed, step])[:15], 16))


def estimate_frontend(corpus: Corpus, options: TransformConfig, cmvn: CmvnConfig) -> Frontend:
    """Global mean of frames, and PCA or LDA of spliced frames, as they are."""
    width = corpus.cuts[0].num_features * (2 * options.context + 1)
    if options.dim > width:
        raise UserError(f"transform.dim is {options.dim}, but spliced frames have {width} dimensions")
    classes = FrameClasses(corpus.cuts, options.alignment) if options.kind == "lda" else None

    def work(sums: tuple[ScatterStatistics, ScatterStatistics], number: int, utterances: list[Tensor]) -> None:
        frames = Frames.of(utterances)
        sums[0].add(frames.values)
        kept = frames.every(options.subsample)[1]
        labels = None
        if classes is not None:
            labels = classes.of(corpus.batches[number], frames.lengths.tolist())[kept]
            kept, labels = kept[labels >= 0], labels[labels >= 0]
        sums[1].add(splice(frames.values, frames, options.context)[kept], labels)

    def new() -> tuple[ScatterStatistics, ScatterStatistics]:
        return ScatterStatistics(corpus.cuts[0].num_features), ScatterStatistics(width)

    results = one_pass(corpus.batches, new, work, corpus.workers, corpus.progress)
    plain, spliced = results[0]
    for other_plain, other_spliced in results[1:]:
        plain.merge(other_plain)
        spliced.merge(other_spliced)
    try:
        transform, offset = (lda if options.kind == "lda" else pca)(spliced, options.dim)
    except ValueError as error:
        raise UserError(str(error)) from error
    return Frontend(plain.mean, transform, offset, options.context, cmvn)


def normalised(corpus: Corpus, frontend: Frontend, utterances: list[Tensor], subsample: int) -> Tensor:
    """What Gaussians see of utterances, each its own speaker: (T, D)."""
    frames = Frames.of(utterances, corpus.device)
    return frontend(frames)[1][frames.every(subsample)[1]]


def sample_frames(corpus: Corpus, frontend: Frontend, options: UbmConfig, seed: int) -> Tensor:
    """At most ``options.num_frames`` normalised frames, spread over the whole corpus: (T, D)."""
    total = sum(-(-cut.num_frames // options.subsample) for cut in corpus.cuts)
    part = min(1.0, options.num_frames / total)
    pieces: dict[int, Tensor] = {}

    def work(_: None, number: int, utterances: list[Tensor]) -> None:
        frames = normalised(corpus, frontend, utterances, options.subsample)
        if part < 1.0:
            order = torch.randperm(len(frames), generator=generator(seed, f"sample {number}"))
            frames = frames[order[: int(part * len(frames))].sort()[0].to(frames.device)]
        pieces[number] = frames

    one_pass(corpus.batches, lambda: None, work, corpus.workers, corpus.progress)
    return torch.cat([pieces[number] for number in sorted(pieces)])


@dataclass(frozen=True)
class UbmStep:
    """A UBM after an iteration, the objective of the one before, and how many Gaussians were removed."""

    ubm: DiagonalUbm
    objective: float
    removed: int


def grow_ubm(sample: Tensor, options: UbmConfig, seed: int, workers: int, progress: Progress) -> UbmStep:
    """EM on frames in memory (T, D), from ``initial_gaussians`` to ``num_gaussians`` Gaussians."""
    draw = generator(seed, "grow")
    ubm = ubm_training.initialise(sample, options, draw)
    pieces = [piece for piece in sample.chunk(workers) if len(piece)]
    removed, objective = 0, float("nan")
    with ThreadPoolExecutor(workers) as pool:
        for iteration in range(1, options.init_iterations + 1):
            results = list(pool.map(partial(UbmStatistics.of, ubm), pieces))
            for other in results[1:]:
                results[0].add(other)
            objective = results[0].objective
            ubm, gone = ubm_training.update(results[0], options)
            removed += gone
            # those that were removed are replaced, but for the last iteration
            if iteration < options.init_iterations:
                ubm = ubm_training.split(ubm, options.gaussians_after(iteration), options, draw)
            progress(iteration, options.init_iterations)
    return UbmStep(ubm, objective, removed)


def ubm_iteration(corpus: Corpus, frontend: Frontend, ubm: DiagonalUbm, options: UbmConfig) -> UbmStep:
    """One EM iteration over all frames."""

    def work(statistics: UbmStatistics, number: int, utterances: list[Tensor]) -> None:
        statistics.accumulate(ubm, normalised(corpus, frontend, utterances, options.subsample))

    results = one_pass(corpus.batches, lambda: UbmStatistics.zeros(ubm), work, corpus.workers, corpus.progress)
    for other in results[1:]:
        results[0].add(other)
    new, removed = ubm_training.update(results[0], options)
    return UbmStep(new, results[0].objective, removed)


def extractor_statistics(
    corpus: Corpus, frontend: Frontend, ubm: DiagonalUbm, extractor: IvectorExtractor, posteriors: PosteriorConfig,
    subsample: int,
) -> ExtractorStatistics:  # fmt: skip
    """One E-step over all utterances."""
    extractor.tables_on(corpus.device)  # computed once, before several threads want it

    def work(statistics: ExtractorStatistics, number: int, utterances: list[Tensor]) -> None:
        frames = Frames.of(utterances, corpus.device)
        as_they_are, for_posteriors = frontend(frames)
        kept, index = frames.every(subsample)
        chosen = for_posteriors[index]
        # a frame in so many is used, and counts for as many
        post = ubm.scorer(chosen).posteriors(chosen, posteriors).scaled(subsample)
        extractor_training.accumulate(statistics, extractor, Frames(as_they_are[index], kept.lengths), post)

    def new() -> ExtractorStatistics:
        return ExtractorStatistics.zeros(extractor)

    results = one_pass(corpus.batches, new, work, corpus.workers, corpus.progress)
    for other in results[1:]:
        results[0].add(other)
    return results[0]
