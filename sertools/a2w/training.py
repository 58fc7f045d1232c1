"""Training an acoustic-to-word recogniser: from cuts and a vocabulary to a checkpoint folder, and back."""

import logging
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sertools.a2w.auxiliary import AuxiliarySources, make_auxiliary
from sertools.a2w.system import A2wConfig, A2wTask
from sertools.asr.data import Reader
from sertools.asr.entries import leave_out, read_entries, total_frames
from sertools.config import from_dict, to_dict
from sertools.errors import UserError
from sertools.files import content_hash, json_hash, only_writer
from sertools.lang.vocabulary import MADE_BY as VOCABULARY_MADE_BY
from sertools.lang.vocabulary import SETTINGS, Vocabulary, load_vocabulary, save_vocabulary
from sertools.models.a2w import A2wModel
from sertools.provenance import STAMP, Stamp, begin, made_with, require_whole, stage_settings, why_stale, write_stamp
from sertools.training.checkpoint import (
    WEIGHTS,
    Checkpoint,
    load_checkpoint,
    load_pretrained,
    load_weights,
    save_checkpoint,
)
from sertools.training.distributed import SINGLE, Group
from sertools.training.loop import HISTORY, STATE, train

log = logging.getLogger(__name__)

MADE_BY = "local/train_a2w.py"
CHECKPOINT, VOCABULARY = "checkpoint", "vocabulary"
PLACE_ONLY = ("engine", "device")  # settings of features that change no value


@dataclass(frozen=True)
class Recogniser:
    """A checkpoint ready for use.

    Attributes:
        model: in evaluation mode.
        vocabulary: what its outputs mean.
        config: of the system.
        features: what its training cuts were made with (:func:`sertools.provenance.made_with`).
        sha256: of the weights.
        name: the folder.
    """

    model: A2wModel
    vocabulary: Vocabulary
    config: A2wConfig
    features: Any
    sha256: str
    name: str


def train_a2w(
    config: A2wConfig,
    vocabulary_dir: Path,
    cuts_path: Path,
    dev_path: Path,
    directory: Path,
    *,
    sources: AuxiliarySources = AuxiliarySources(),  # noqa: B008
    seed: int = 1,
    init: Path | None = None,
    device: str = "cpu",
    group: Group = SINGLE,
    should_stop: Callable[[], bool] = lambda: False,
    progress_bar: Callable[[int, int], None] = lambda done, total: None,
) -> Path:
    """Train on ``cuts_path``, select the epoch on ``dev_path``.

    Args:
        config: the system.
        vocabulary_dir: made by sertools.lang.vocabulary.make_vocabulary.
        cuts_path, dev_path: cuts with features.
        directory: of the experiment.
        sources: what the second objective needs.
        seed: of initialisation and training.
        init: checkpoint of a recogniser of the same shape to start from; its vocabulary and its
            second objective may be others.  Its input statistics are kept.
        device: a torch device.
        group: the processes that share the training, all with these arguments; the first one writes.
        should_stop, progress_bar: see :func:`sertools.training.loop.train`.

    Returns:
        The checkpoint folder, with the vocabulary inside; beside it is ``history.jsonl``.

    Raises:
        UserError: inputs are missing or do not go together; the loss is not finite.
        Stopped: see ``should_stop``.
    """
    inputs = {
        "cuts": cuts_path,
        "dev": dev_path,
        "vocabulary": require_whole(vocabulary_dir / SETTINGS, VOCABULARY_MADE_BY),
    }
    if config.auxiliary != "none" and sources.lang_dir is not None:
        inputs["lexicon"] = require_whole(sources.lang_dir / "lexiconp.txt", "the lang stage (local/prepare_lang.py)")
    if config.auxiliary == "lfmmi" and sources.graph_dir is not None:
        # graphs of the same settings and transcripts are the same
        inputs["graphs"] = require_whole(sources.graph_dir / STAMP, "the graphs stage (local/make_lfmmi_graphs.py)")
    if init is not None:
        inputs["init"] = require_whole(init / WEIGHTS, f"{MADE_BY}, which is to train the recogniser to start from")
    stamp = Stamp(to_dict(config) | {"seed": seed}, {role: content_hash(path) for role, path in inputs.items()})
    with only_writer(directory) if group.first else nullcontext():
        reason = group.from_first(lambda: why_stale(directory, stamp))
        if reason is None:
            log.info("%s is up to date", directory)
            return directory / CHECKPOINT
        log.info("%s: %s", directory, reason)
        if group.first:
            begin(directory)
        vocabulary = load_vocabulary(vocabulary_dir)
        auxiliary = make_auxiliary(config.auxiliary, sources, config.lfmmi)
        entries = leave_out(read_entries(cuts_path, False), config.data.max_frames, "train")
        dev_entries = leave_out(read_entries(dev_path, False), config.data.max_frames, "dev")
        log.info("train: %d utterances, %.2f h; dev: %d utterances, %.2f h", len(entries),
                 total_frames(entries) / 360000, len(dev_entries), total_frames(dev_entries) / 360000)  # fmt: skip
        readers = Reader(entries, config.data.memory_gb), Reader(dev_entries, config.data.memory_gb)
        task = A2wTask(config, vocabulary, auxiliary, *readers, seed=seed, device=device, group=group)
        if init is not None:
            _start_from(task.model, init, vocabulary)
        log.info("%d parameters, %d tokens; auxiliary: %s", sum(p.numel() for p in task.model.parameters()),
                 len(vocabulary), config.auxiliary)  # fmt: skip
        trained = train(
            task, config.training, directory, seed=seed, key=json_hash([stamp.config, stamp.inputs]),
            device=device, group=group, should_stop=should_stop, progress_bar=progress_bar,
        )  # fmt: skip
        if group.first:
            info = {
                "vocabulary": vocabulary.sha256,
                "auxiliary_outputs": 0 if auxiliary is None else auxiliary.num_outputs,
                "best_epoch": trained.best_epoch,
                "dev": trained.history[trained.best_epoch - 1],
                "features": made_with(cuts_path),
                "inputs": stamp.inputs,
            }
            save_a2w(directory / CHECKPOINT, Checkpoint(trained.weights, stamp.config, info), vocabulary)
            files = sorted(path for path in (directory / CHECKPOINT).rglob("*") if path.is_file())
            write_stamp(directory, stamp, [HISTORY, *(str(path.relative_to(directory)) for path in files)])
            (directory / STATE).unlink(missing_ok=True)
        group.barrier()
    return directory / CHECKPOINT


def save_a2w(directory: Path, checkpoint: Checkpoint, vocabulary: Vocabulary) -> None:
    """Write a checkpoint folder with the vocabulary inside, as :func:`load_a2w` reads it.

    ``info`` has ``vocabulary`` (its hash), ``auxiliary_outputs`` and ``features``.
    """
    save_checkpoint(directory, checkpoint)
    save_vocabulary(vocabulary, directory / VOCABULARY)


def load_a2w(directory: Path | str, device: str = "cpu") -> Recogniser:
    """Read a checkpoint folder of :func:`train_a2w`.

    Raises:
        UserError: it is missing, damaged, or of another kind of system.
    """
    directory = Path(directory)
    checkpoint = load_checkpoint(directory, f"the training stage ({MADE_BY})")
    if "vocabulary" not in checkpoint.info:
        raise UserError(f"{directory} holds no acoustic-to-word recogniser; they are made by {MADE_BY}")
    values = {key: value for key, value in checkpoint.config.items() if key != "seed"}
    config = from_dict(A2wConfig, values, f"{directory}/config.yaml")
    vocabulary = load_vocabulary(directory / VOCABULARY)
    if vocabulary.sha256 != checkpoint.info["vocabulary"]:
        raise UserError(f"{directory / VOCABULARY} is not the vocabulary that {directory} was trained with")
    model = A2wModel(config.model, len(vocabulary), checkpoint.info["auxiliary_outputs"])
    load_weights(model, checkpoint.weights, str(directory))
    features, sha256 = checkpoint.info["features"], content_hash(directory / WEIGHTS)
    return Recogniser(model.to(device).eval(), vocabulary, config, features, sha256, str(directory))


def check_features(recogniser: Recogniser, cuts_path: Path | str) -> None:
    """Whether cuts have the features that a recogniser was trained on; a warning where that is not recorded.

    Raises:
        UserError: features of another kind or of other settings.
    """
    wanted, own = _feature_settings(recogniser.features), _feature_settings(made_with(cuts_path))
    if not wanted or not own:
        log.warning("what features %s has is not recorded, so whether %s has those that %s was trained on is not "
                    "checked", cuts_path if wanted else recogniser.name, cuts_path, recogniser.name)  # fmt: skip
        return
    for key in sorted(wanted.keys() | own.keys()):
        if wanted.get(key) != own.get(key):
            raise UserError(
                f"{cuts_path} has features with {key} {own.get(key)}, but {recogniser.name} was trained on {key} "
                f"{wanted.get(key)}; make the features with the configuration of its recipe (conf/fbank.yaml)"
            )


def _feature_settings(made: Any) -> dict[str, Any]:
    """Kind and settings of features, out of what made_with gives; none where that is not recorded."""
    for kind in ("fbank", "mfcc"):
        found = stage_settings(made, kind)
        if found is not None:
            return {"kind": kind} | {key: value for key, value in found.items() if key not in PLACE_ONLY}
    return {}


def _start_from(model: A2wModel, init: Path, vocabulary: Vocabulary) -> None:
    checkpoint = load_checkpoint(init, f"the training stage ({MADE_BY})")
    weights = dict(checkpoint.weights)
    new = [name for name in model.state_dict() if name.startswith(("auxiliary", "output", "embedding"))]
    if checkpoint.info.get("vocabulary") != vocabulary.sha256:
        # of the same number, perhaps, but other words
        weights = {name: value for name, value in weights.items() if not name.startswith(("output", "embedding"))}
    weights = {name: value for name, value in weights.items() if name in model.state_dict()}
    taken = load_pretrained(model, weights, new, str(init))
    log.info("started from %s; new are %s", init, ", ".join(taken) or "none")
