"""Training an acoustic model: from cuts and graphs to a checkpoint folder."""

import logging
from pathlib import Path
from typing import Any

from sertools.asr.auxiliary import read_auxiliary
from sertools.asr.graphs import GRAPHS, load_graphs
from sertools.asr.lfmmi_system import AUXILIARY, AsrConfig, AsrTask, recorded
from sertools.asr.speech import speech_of
from sertools.config import to_dict
from sertools.data.transcribed import open_readers
from sertools.files import content_hash
from sertools.lang.folder import load_lexicon
from sertools.models.asr import OUTPUT_LAYERS, AcousticModel
from sertools.provenance import STAMP, Stamp, made_with, require_whole
from sertools.runs.folder import SPEECH
from sertools.training.checkpoint import WEIGHTS, Checkpoint, load_checkpoint, load_pretrained, save_checkpoint
from sertools.training.loop import HERE, Conditions, Trained
from sertools.training.run import CHECKPOINT, Training, checkpoint_files, run_training

log = logging.getLogger(__name__)


def train_asr(
    config: AsrConfig,
    lang_dir: Path,
    graph_dir: Path,
    cuts_path: Path,
    dev_path: Path,
    directory: Path,
    *,
    seed: int = 1,
    init: Path | None = None,
    conditions: Conditions = HERE,
) -> Path:
    """Train on ``cuts_path``, select the epoch on ``dev_path``.

    Args:
        config: the system.
        lang_dir, graph_dir: lexicon; topology, phone language model and denominator.
        cuts_path, dev_path: cuts with features, and i-vectors if the network takes them.
        directory: of the experiment.
        seed: of initialisation and training.
        init: checkpoint of a model to start from, of the same shape; its output layers may be of
            other phones, its auxiliary heads of other classes.  Its input transform is kept.
        conditions: see :class:`sertools.training.task.Conditions`.

    Returns:
        The checkpoint folder; beside it is ``history.jsonl``.

    Raises:
        UserError: inputs are missing or do not go together; the loss is not finite.
        Stopped: see :func:`sertools.training.loop.train`.
    """
    require_whole(graph_dir / GRAPHS, "the graphs stage (local/make_lfmmi_graphs.py)")
    # graphs of the same settings and transcripts are the same
    inputs = {"cuts": cuts_path, "dev": dev_path, "graphs": graph_dir / STAMP, "lexicon": lang_dir / "lexiconp.txt"}
    if init is not None:
        inputs["init"] = require_whole(init / WEIGHTS, "local/train_asr.py, which is to train the model to start from")
    stamp = Stamp(recorded(config) | {"seed": seed}, {role: content_hash(path) for role, path in inputs.items()})

    def prepare() -> Training:
        graphs, lexicon = load_graphs(graph_dir), load_lexicon(lang_dir)
        readers = open_readers(cuts_path, dev_path, config.data, ivectors=config.model.trunk.ivector_dim > 0)
        heads = None if config.auxiliary is None else read_auxiliary(config.auxiliary, cuts_path, dev_path)
        classes = {} if heads is None else {AUXILIARY: {field: list(names) for field, names in heads.classes.items()}}
        task = AsrTask(config, graphs, lexicon, *readers, seed=seed, device=conditions.device, group=conditions.group,
                       auxiliary=heads)  # fmt: skip
        if init is not None:
            _start_from(task.model, init, classes)
        log.info("%d outputs", graphs.topology.num_pdfs)

        def save(trained: Trained) -> list[str]:
            info = {
                "phones": list(graphs.phones),
                "silence": lexicon.silence,
                "topology": to_dict(graphs.config.topology),
                "features": made_with(cuts_path),
                "inputs": stamp.inputs,
                SPEECH: speech_of(cuts_path) | ({} if heads is None else {"labels": list(heads.classes)}),
            }
            made = Checkpoint(trained.weights, stamp.config, info | classes | trained.about())
            save_checkpoint(directory / CHECKPOINT, made)
            return checkpoint_files(directory)

        return Training(task, save)

    run_training(directory, stamp, config.training, prepare, seed=seed, conditions=conditions)
    return directory / CHECKPOINT


def _start_from(model: AcousticModel, init: Path, classes: dict[str, Any]) -> None:
    checkpoint = load_checkpoint(init)
    weights = checkpoint.weights
    before, now = (list(found.get(AUXILIARY, {}).items()) for found in (checkpoint.info, classes))
    if before != now:
        # as many, perhaps, but other classes
        weights = {name: value for name, value in weights.items() if not name.startswith(f"{AUXILIARY}.")}
    new = load_pretrained(model, weights, OUTPUT_LAYERS, str(init))
    log.info("started from %s; new are %s", init, ", ".join(new) or "none")
