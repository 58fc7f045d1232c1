"""From cuts with features to an i-vector model, in steps that survive a kill."""

import json
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lhotse.cut import Cut

from sertools.config import to_dict
from sertools.errors import UserError
from sertools.features.ivector import extractor_training, steps
from sertools.features.ivector.config import IvectorConfig
from sertools.features.ivector.extractor import IvectorExtractor
from sertools.features.ivector.frontend import Frontend
from sertools.features.ivector.model import IvectorModel, feature_info, save_model
from sertools.features.ivector.passes import Progress
from sertools.features.ivector.state import TrainingState
from sertools.features.ivector.steps import Corpus
from sertools.features.ivector.ubm import DiagonalUbm
from sertools.files import content_hash, json_hash, only_writer, write_text
from sertools.manifests import read_cuts
from sertools.provenance import Stamp, begin, why_stale, write_stamp
from sertools.training.checkpoint import CONFIG, INFO, WEIGHTS

STATE, HISTORY, MODEL = "state.safetensors", "history.jsonl", "model"


def check_size(frames: int, utterances: int, config: IvectorConfig) -> None:
    """Refuse a corpus too small for the configuration, before anything is computed.

    The extractor leaves a Gaussian alone whose count is below ``extractor.gaussian_min_count``;
    if even the average Gaussian has less, training is pointless.

    Raises:
        UserError: it is too small; the message has the largest number of Gaussians that fits.
    """
    need = max(1.0, config.extractor.gaussian_min_count / config.posteriors.scale)
    fits = int(frames / need)
    why = f"each Gaussian needs {need:.0f} frames on average (extractor.gaussian_min_count / posteriors.scale)"
    if fits < 1:
        raise UserError(
            f"{frames} frames of speech in {utterances} utterances are too few for an i-vector extractor: {why}; "
            "take more speech, or an extractor trained elsewhere"
        )
    if config.ubm.num_gaussians > fits:
        raise UserError(
            f"ubm.num_gaussians is {config.ubm.num_gaussians}, but {frames} frames of speech "
            f"({frames / 6000:.1f} minutes) are enough for {fits} at most: {why}; "
            f"set ubm.num_gaussians to {fits} or less"
        )
    if config.extractor.dim > utterances:
        raise UserError(
            f"extractor.dim is {config.extractor.dim}, but there are only {utterances} utterances to train on, "
            f"each with one i-vector; set extractor.dim to {utterances} or, better, far less"
        )


def train_ivector(
    config: IvectorConfig,
    cuts_path: Path | str,
    directory: Path | str,
    *,
    speakers: Sequence[str] | None = None,
    workers: int = 1,
    device: str = "cpu",
    progress: Progress = lambda done, total: None,
) -> Path:
    """Train a front end, a UBM and an extractor.

    Killed and called again, it goes on at the last EM iteration.  A model that is there and was
    made from the same is kept.

    Args:
        config: see :class:`IvectorConfig`; its ``extraction``, ``speakers`` and ``store`` are not used.
        cuts_path: cuts with features.
        directory: for ``model/``, ``history.jsonl`` and ``stamp.json``.
        speakers: use these speakers' cuts only (a fold's training part); None for all.
        workers: threads; with more than one, let torch itself use one.
        device: a torch device.
        progress: called with (batches done, batches in all) of each pass over the data.

    Returns:
        ``directory/model``.

    Raises:
        UserError: the corpus is too small, or has no (finite) features.
    """
    directory = Path(directory)
    settings = {k: v for k, v in to_dict(config).items() if k not in ("extraction", "speakers", "store")}
    chosen = sorted(speakers) if speakers is not None else None
    stamp = Stamp(settings | {"speakers": chosen}, {"features": content_hash(cuts_path)})
    with only_writer(directory):
        reason = why_stale(directory, stamp)
        if reason is None:
            logging.info("%s is up to date", directory)
            return directory / MODEL
        logging.info("%s: %s", directory, reason)
        begin(directory)
        cuts = _training_cuts(cuts_path, chosen)
        frames = sum(cut.num_frames for cut in cuts)
        logging.info("%d utterances, %.1f minutes of speech", len(cuts), frames / 6000)
        check_size(frames, len(cuts), config)
        state = TrainingState.load(directory / STATE, json_hash([stamp.config, stamp.inputs]))
        corpus = Corpus(cuts, workers, device, progress)
        frontend = _frontend(corpus, config, state)
        ubm = _ubm(corpus, config, frontend, state)
        extractor = _extractor(corpus, config, frontend, ubm, state)
        model = IvectorModel(frontend, ubm, extractor, config.posteriors, feature_info(cuts[0]))
        counts = {"utterances": len(cuts), "frames": frames}
        save_model(directory / MODEL, model, to_dict(config), {"inputs": stamp.inputs, "training": counts})
        write_text(directory / HISTORY, "".join(json.dumps(entry) + "\n" for entry in state.history))
        write_stamp(directory, stamp, [HISTORY, *(f"{MODEL}/{name}" for name in (WEIGHTS, CONFIG, INFO))])
        (directory / STATE).unlink(missing_ok=True)
    return directory / MODEL


def _training_cuts(cuts_path: Path | str, speakers: Sequence[str] | None) -> list[Cut]:
    wanted = None if speakers is None else set(speakers)
    cuts = [
        cut
        for cut in read_cuts(cuts_path)
        if wanted is None or (cut.supervisions and str(cut.supervisions[0].speaker) in wanted)
    ]
    if not cuts:
        raise UserError(f"{cuts_path}: no cuts" + ("" if wanted is None else " of the training speakers"))
    for cut in cuts:
        if not cut.has_features:
            raise UserError(f"{cuts_path}: {cut.id} has no features; run the feature stage")
    return cuts


def _frontend(corpus: Corpus, config: IvectorConfig, state: TrainingState) -> Frontend:
    if "transform" not in state.steps:
        started = time.monotonic()
        new = steps.estimate_frontend(corpus, config.transform, config.cmvn)
        entry = {"kind": config.transform.kind, "dim": new.dim, "seconds": time.monotonic() - started}
        state.done("transform", entry, {"mean": new.global_mean, "transform": new.transform, "offset": new.offset})
    t = state.tensors
    return Frontend(t["mean"], t["transform"], t["offset"], config.transform.context, config.cmvn)


def _ubm(corpus: Corpus, config: IvectorConfig, frontend: Frontend, state: TrainingState) -> DiagonalUbm:
    def current() -> DiagonalUbm:
        return DiagonalUbm(*(state.tensors[f"ubm.{name}"] for name in ("weights", "means", "variances")))

    def done(step: str, result: steps.UbmStep, started: float) -> None:
        entry: dict[str, Any] = {"log_likelihood": result.objective, "gaussians": result.ubm.num_gaussians}
        entry |= {"removed": result.removed, "seconds": time.monotonic() - started}
        new = result.ubm
        state.done(step, entry, {"ubm.weights": new.weights, "ubm.means": new.means, "ubm.variances": new.variances})

    if "ubm grown" not in state.steps:
        started = time.monotonic()
        sample = steps.sample_frames(corpus, frontend, config.ubm, config.seed)
        done("ubm grown", steps.grow_ubm(sample, config.ubm, config.seed, corpus.workers, corpus.progress), started)
    for iteration in range(1, config.ubm.iterations + 1):
        if f"ubm {iteration}" not in state.steps:
            started = time.monotonic()
            done(f"ubm {iteration}", steps.ubm_iteration(corpus, frontend, current(), config.ubm), started)
    return current()


def _extractor(
    corpus: Corpus, config: IvectorConfig, frontend: Frontend, ubm: DiagonalUbm, state: TrainingState
) -> IvectorExtractor:
    options = config.extractor
    if "extractor 0" in state.steps:
        t = state.tensors
        extractor = IvectorExtractor(ubm.weights, t["projections"], t["precisions"], float(t["prior_offset"]))
    else:
        extractor = extractor_training.initialise(ubm, options, steps.generator(config.seed, "extractor"))
        _keep_extractor(state, "extractor 0", extractor, {"dim": options.dim})
    for iteration in range(1, options.iterations + 1):
        if f"extractor {iteration}" in state.steps:
            continue
        started = time.monotonic()
        statistics = steps.extractor_statistics(corpus, frontend, ubm, extractor, config.posteriors, options.subsample)
        update = extractor_training.update(extractor, statistics, options)
        extractor = update.extractor
        entry: dict[str, Any] = {"auxiliary": statistics.objective, "unchanged_gaussians": update.unchanged}
        entry |= {"floored_eigenvalues": update.floored, "prior_offset": extractor.prior_offset}
        _keep_extractor(state, f"extractor {iteration}", extractor, entry | {"seconds": time.monotonic() - started})
    return extractor


def _keep_extractor(state: TrainingState, step: str, extractor: IvectorExtractor, entry: dict[str, Any]) -> None:
    offset = torch.tensor(extractor.prior_offset, dtype=torch.float64)
    tensors = {"projections": extractor.projections, "precisions": extractor.precisions, "prior_offset": offset}
    state.done(step, entry, tensors)
