"""Training an acoustic-to-word recogniser: from cuts and a vocabulary to a checkpoint folder, and back."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sertools.a2w.auxiliary import AuxiliarySources, make_auxiliary
from sertools.a2w.system import A2wConfig, A2wTask
from sertools.config import from_dict, to_dict
from sertools.data.transcribed import open_readers
from sertools.errors import UserError
from sertools.files import content_hash
from sertools.lang.vocabulary import MADE_BY as VOCABULARY_MADE_BY
from sertools.lang.vocabulary import SETTINGS, Vocabulary, load_vocabulary, save_vocabulary
from sertools.models.a2w import A2wModel
from sertools.provenance import STAMP, Stamp, made_with, require_whole
from sertools.training.checkpoint import (
    WEIGHTS,
    Checkpoint,
    load_checkpoint,
    load_pretrained,
    load_weights,
    save_checkpoint,
    understood,
)
from sertools.training.loop import HERE, Conditions, Trained
from sertools.training.run import CHECKPOINT, Training, checkpoint_files, run_training

log = logging.getLogger(__name__)

MADE_BY = "local/train_a2w.py"
VOCABULARY = "vocabulary"


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
    conditions: Conditions = HERE,
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
        conditions: see :class:`sertools.training.task.Conditions`.

    Returns:
        The checkpoint folder, with the vocabulary inside; beside it is ``history.jsonl``.

    Raises:
        UserError: inputs are missing or do not go together; the loss is not finite.
        Stopped: see :func:`sertools.training.loop.train`.
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

    def prepare() -> Training:
        vocabulary = load_vocabulary(vocabulary_dir)
        auxiliary = make_auxiliary(config.auxiliary, sources, config.lfmmi)
        readers = open_readers(cuts_path, dev_path, config.data, ivectors=False)
        task = A2wTask(
            config, vocabulary, auxiliary, *readers, seed=seed, device=conditions.device, group=conditions.group
        )
        if init is not None:
            _start_from(task.model, init, vocabulary)
        log.info("%d tokens; auxiliary: %s", len(vocabulary), config.auxiliary)

        def save(trained: Trained) -> list[str]:
            info = {
                "vocabulary": vocabulary.sha256,
                "auxiliary_outputs": 0 if auxiliary is None else auxiliary.num_outputs,
                "features": made_with(cuts_path),
                "inputs": stamp.inputs,
            }
            made = Checkpoint(trained.weights, stamp.config, info | trained.about())
            save_a2w(directory / CHECKPOINT, made, vocabulary)
            return checkpoint_files(directory)

        return Training(task, save)

    run_training(directory, stamp, config.training, prepare, seed=seed, conditions=conditions)
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
    with understood(directory, MADE_BY):
        model = A2wModel(config.model, len(vocabulary), checkpoint.info["auxiliary_outputs"])
        load_weights(model, checkpoint.weights, str(directory))
        features, sha256 = checkpoint.info["features"], content_hash(directory / WEIGHTS)
    return Recogniser(model.to(device).eval(), vocabulary, config, features, sha256, str(directory))


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
