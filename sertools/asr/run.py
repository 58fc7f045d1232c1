"""Training an acoustic model: from cuts and graphs to a checkpoint folder."""

import logging
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from sertools.asr.data import Reader
from sertools.asr.entries import leave_out, read_entries, total_frames
from sertools.asr.graphs import GRAPHS, load_graphs
from sertools.asr.lfmmi_system import AsrConfig, AsrTask
from sertools.config import to_dict
from sertools.files import content_hash, json_hash, only_writer
from sertools.lang.folder import load_lexicon
from sertools.models.asr import OUTPUT_LAYERS
from sertools.provenance import STAMP, Stamp, begin, made_with, require_whole, why_stale, write_stamp
from sertools.training.checkpoint import WEIGHTS, Checkpoint, load_checkpoint, load_pretrained, save_checkpoint
from sertools.training.distributed import SINGLE, Group
from sertools.training.loop import HISTORY, STATE, train

CHECKPOINT = "checkpoint"


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
    device: str = "cpu",
    group: Group = SINGLE,
    should_stop: Callable[[], bool] = lambda: False,
    progress_bar: Callable[[int, int], None] = lambda done, total: None,
) -> Path:
    """Train on ``cuts_path``, select the epoch on ``dev_path``.

    Args:
        config: the system.
        lang_dir, graph_dir: lexicon; topology, phone language model and denominator.
        cuts_path, dev_path: cuts with features, and i-vectors if the network takes them.
        directory: of the experiment.
        seed: of initialisation and training.
        init: checkpoint of a model to start from, of the same shape; its output layers may be of
            other phones.  Its input transform is kept.
        device: a torch device.
        group: the processes that share the training, all with these arguments; the first one writes.
        should_stop, progress_bar: see :func:`sertools.training.loop.train`.

    Returns:
        The checkpoint folder; beside it is ``history.jsonl``.

    Raises:
        UserError: inputs are missing or do not go together; the loss is not finite.
        Stopped: see ``should_stop``.
    """
    require_whole(graph_dir / GRAPHS, "the graphs stage (local/make_lfmmi_graphs.py)")
    # graphs of the same settings and transcripts are the same
    inputs = {"cuts": cuts_path, "dev": dev_path, "graphs": graph_dir / STAMP, "lexicon": lang_dir / "lexiconp.txt"}
    if init is not None:
        inputs["init"] = require_whole(init / WEIGHTS, "local/train_asr.py, which is to train the model to start from")
    stamp = Stamp(to_dict(config) | {"seed": seed}, {role: content_hash(path) for role, path in inputs.items()})
    with only_writer(directory) if group.first else nullcontext():
        reason = group.from_first(lambda: why_stale(directory, stamp))
        if reason is None:
            logging.info("%s is up to date", directory)
            return directory / CHECKPOINT
        logging.info("%s: %s", directory, reason)
        if group.first:
            begin(directory)
        graphs, lexicon = load_graphs(graph_dir), load_lexicon(lang_dir)
        ivectors = config.model.trunk.ivector_dim > 0
        entries = leave_out(read_entries(cuts_path, ivectors), config.data.max_frames, "train")
        dev_entries = leave_out(read_entries(dev_path, ivectors), config.data.max_frames, "dev")
        logging.info("train: %d utterances, %.2f h; dev: %d utterances, %.2f h", len(entries),
                     total_frames(entries) / 360000, len(dev_entries), total_frames(dev_entries) / 360000)  # fmt: skip
        readers = Reader(entries, config.data.memory_gb), Reader(dev_entries, config.data.memory_gb)
        task = AsrTask(config, graphs, lexicon, *readers, seed=seed, device=device, group=group)
        if init is not None:
            weights = load_checkpoint(init).weights
            new = load_pretrained(task.model, weights, OUTPUT_LAYERS, str(init))
            logging.info("started from %s; new are %s", init, ", ".join(new) or "none")
        logging.info("%d parameters, %d outputs", sum(p.numel() for p in task.model.parameters()),
                     graphs.topology.num_pdfs)  # fmt: skip
        trained = train(
            task, config.training, directory, seed=seed, key=json_hash([stamp.config, stamp.inputs]),
            device=device, group=group, should_stop=should_stop, progress_bar=progress_bar,
        )  # fmt: skip
        if group.first:
            info = {
                "phones": list(graphs.phones),
                "silence": lexicon.silence,
                "topology": to_dict(graphs.config.topology),
                "best_epoch": trained.best_epoch,
                "dev": trained.history[trained.best_epoch - 1],
                "features": made_with(cuts_path),
                "inputs": stamp.inputs,
            }
            save_checkpoint(directory / CHECKPOINT, Checkpoint(trained.weights, stamp.config, info))
            outputs = [HISTORY, *(f"{CHECKPOINT}/{path.name}" for path in sorted((directory / CHECKPOINT).iterdir()))]
            write_stamp(directory, stamp, outputs)
            (directory / STATE).unlink(missing_ok=True)
        group.barrier()
    return directory / CHECKPOINT
