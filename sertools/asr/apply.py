"""A trained acoustic model applied to speech."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lhotse.cut import Cut
from torch import Tensor

from sertools.asr.chunks import chunked_scores
from sertools.asr.lfmmi_system import AUXILIARY, AsrConfig, check_dimensions, make_model
from sertools.config import from_dict
from sertools.data.entries import entry_of
from sertools.data.reader import Reader
from sertools.data.transcribed import batches_in_order
from sertools.errors import UserError
from sertools.lfmmi import Topology, TopologyConfig
from sertools.manifests import read_cuts
from sertools.models.asr import AcousticModel
from sertools.provenance import require_whole
from sertools.training.checkpoint import load_checkpoint, load_weights, understood


@dataclass(frozen=True)
class Loaded:
    """A checkpoint ready for use.

    Attributes:
        model: in evaluation mode.
        config: of the system.
        topology: what the outputs mean.
        phones: their names; the id of ``phones[i]`` is i + 1.
        silence: id of the silence phone, or None.
        info: all that is in ``info.json``.
    """

    model: AcousticModel
    config: AsrConfig
    topology: Topology
    phones: tuple[str, ...]
    silence: int | None
    info: dict[str, Any]


def load_acoustic_model(directory: Path | str, device: str = "cpu") -> Loaded:
    """Read a checkpoint folder of :func:`sertools.asr.training.train_asr`.

    Raises:
        UserError: it is missing, damaged, or of another kind of system.
    """
    made_by = "the training stage (local/train_asr.py)"
    checkpoint = load_checkpoint(require_whole(directory, made_by), made_by)
    if "topology" not in checkpoint.info:
        raise UserError(f"{directory} holds no acoustic model: its info.json has no topology")
    values = {key: value for key, value in checkpoint.config.items() if key != "seed"}
    config = from_dict(AsrConfig, values, f"{directory}/config.yaml")
    with understood(directory, made_by):
        phones, silence = tuple(checkpoint.info["phones"]), checkpoint.info["silence"]
        topology = Topology(from_dict(TopologyConfig, checkpoint.info["topology"]), len(phones))
        model = make_model(config, topology.num_pdfs, sum(map(len, checkpoint.info.get(AUXILIARY, {}).values())))
        load_weights(model, checkpoint.weights, str(directory))
    return Loaded(model.to(device).eval(), config, topology, phones, silence, checkpoint.info)


@torch.no_grad()
def log_likelihoods(
    model: Loaded | Path | str,
    cuts: Iterable[Cut] | Path | str,
    *,
    device: str = "cpu",
    batch_frames: int = 10000,
    ivector_chunk: int = 0,
) -> Iterator[tuple[str, Tensor]]:
    """Scores of the outputs (pdfs) for every utterance.

    Args:
        model: a checkpoint folder, or what :func:`load_acoustic_model` gives.
        cuts: with features, and with i-vectors if the network takes them; transcripts are not needed.
        device: where to compute, if ``model`` is a folder.
        batch_frames: utterances are computed together up to so many frames.
        ivector_chunk: 0 gives an utterance its last i-vector; otherwise every so many input frames have
            the i-vector of their middle, as in Kaldi's nnet3-latgen-faster (which takes 50).

    Yields:
        Cut id, float32 (T', P) on the CPU: pseudo log-likelihoods of LF-MMI (to be scaled by 1
        in decoding), log-posteriors of CTC.  Utterances come by length.

    Raises:
        UserError: features or i-vectors are missing or of other dimensions than the network's.
    """
    loaded = model if isinstance(model, Loaded) else load_acoustic_model(model, device)
    where = str(cuts) if isinstance(cuts, Path | str) else "the cuts"
    source = read_cuts(cuts) if isinstance(cuts, Path | str) else cuts
    trunk = loaded.config.model.trunk
    entries = [entry_of(cut, trunk.ivector_dim > 0, where, transcript=False) for cut in source]
    if not entries:
        raise UserError(f"{where} is empty")
    reader = Reader(entries, 0.0)
    check_dimensions(loaded.config, reader)
    place = next(loaded.model.parameters()).device
    normalise = loaded.config.loss == "ctc"
    results: Iterator[tuple[str, Tensor]]
    if ivector_chunk and trunk.ivector_dim:
        results = ((e.id, chunked_scores(loaded.model, *reader(i), ivector_chunk)) for i, e in enumerate(entries))
    else:
        results = _whole(loaded.model, reader, batch_frames, place)
    for name, scores in results:
        scores = scores.float()
        yield name, (scores.log_softmax(-1) if normalise else scores).cpu()


def _whole(
    model: AcousticModel, reader: Reader, batch_frames: int, device: torch.device
) -> Iterator[tuple[str, Tensor]]:
    for batch in batches_in_order(reader, lambda text: None, batch_frames).load(0, 0, False):
        ivectors = None if batch.ivectors is None else batch.ivectors.to(device)
        scores, _, lengths = model(batch.features.to(device), batch.lengths, ivectors)
        for row, index in enumerate(batch.indices):
            yield reader.entries[index].id, scores[row, : int(lengths[row])].contiguous()
