"""Pretraining a speech model on cuts, from their audio to a folder that any system takes as its backbone."""

import json
import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from lhotse.cut import Cut
from torch import Tensor

from sertools.backbones.card import CARD, of_utterances
from sertools.backbones.encoder import SpeechEncoder, check_length
from sertools.backbones.folder import CONFIG, PREPROCESSOR, WEIGHTS, open_folder
from sertools.backbones.load import load_speech
from sertools.backbones.masked import MaskedSpeechEncoder
from sertools.backbones.pretraining import PretrainConfig, PretrainTask, hubert_settings
from sertools.config import to_dict
from sertools.errors import UserError
from sertools.features.audio import load_samples
from sertools.files import content_hash, write_json, write_text
from sertools.manifests import load_cuts
from sertools.provenance import Stamp
from sertools.training.checkpoint import save_tensors
from sertools.training.run import Training, run_training
from sertools.training.task import HERE, Conditions, Trained

BACKBONE = "backbone"
RATE = 16000

log = logging.getLogger(__name__)


def pretrain_ssl(
    config: PretrainConfig,
    cuts_path: Path,
    dev_path: Path,
    directory: Path,
    *,
    init: Path | None = None,
    seed: int = 1,
    conditions: Conditions = HERE,
) -> Path:
    """Pretrain on the audio of ``cuts_path``; the epoch is selected on ``dev_path``.

    Args:
        config: see :class:`PretrainConfig`.
        cuts_path, dev_path: cuts with audio, which is held in memory (230 MB an hour).
        directory: of the training.
        init: folder of a model of the wav2vec 2.0 family to go on from, instead of from scratch.
        seed: of initialisation and training.
        conditions: see :class:`sertools.training.task.Conditions`.

    Returns:
        ``directory``/backbone, for :func:`sertools.backbones.load.load_speech`; ``history.jsonl`` is beside it.

    Raises:
        UserError: inputs are missing or do not go together; the loss is not finite; several processes.
        MissingPackage: transformers is not installed.
        Stopped: see :func:`sertools.training.loop.train`.
    """
    if conditions.group.size > 1:
        raise UserError("pretraining runs in one process; start it without --tasks-per-node")
    inputs = {"cuts": content_hash(cuts_path), "dev": content_hash(dev_path)}
    if init is not None:
        inputs["init"] = open_folder(init).hash()
    stamp = Stamp(to_dict(config) | {"seed": seed}, inputs)

    def prepare() -> Training:
        encoder = _start(config, init, seed, conditions.device)
        if config.clusters_of != "mfcc" and init is None:
            raise UserError(f"clusters_of: {config.clusters_of} is a layer of a model: give one to go on from (--init)")
        cuts = list(load_cuts(cuts_path))
        train = read_audio(cuts, encoder)
        dev = read_audio(load_cuts(dev_path), encoder)
        hours = sum(len(waveform) for waveform in train) / RATE / 3600
        log.info("%.2f h of speech in %d utterances, %d for dev", hours, len(train), len(dev))
        task = PretrainTask(encoder, train, dev, config, seed=seed, device=conditions.device)

        def save(trained: Trained) -> list[str]:
            save_backbone(directory / BACKBONE, trained.weights, config, init, card(cuts, hours, directory.name, init))
            return [f"{BACKBONE}/{name}" for name in (CONFIG, PREPROCESSOR, WEIGHTS, CARD)]

        return Training(task, save)

    run_training(directory, stamp, config.training, prepare, seed=seed, conditions=conditions)
    return directory / BACKBONE


def read_audio(cuts: Sequence[Cut] | Any, encoder: SpeechEncoder) -> list[Tensor]:
    """Waveforms of cuts, float32 (S,) at 16 kHz.

    Raises:
        UserError: there are none, or one is too short for the model.
    """
    waveforms = []
    for cut in cuts:
        waveforms.append(torch.from_numpy(load_samples(cut, RATE)[0]))
        check_length(encoder, len(waveforms[-1]), cut.id)
    if not waveforms:
        raise UserError("there are no cuts to pretrain on")
    return waveforms


def card(cuts: Sequence[Cut], hours: float, name: str, init: Path | None) -> dict[str, Any]:
    """What ``sertools.yaml`` says of the outcome."""
    own = {str((s.custom or {}).get("corpus", "")) for cut in cuts for s in cut.supervisions} - {""}
    data, corpora, licence = f"{hours:.2f} h of {', '.join(sorted(own)) or 'speech'}", own, "that of its training data"
    known = True
    if init is not None:
        before = open_folder(init).card
        data = f"{before.training_data}; then {data}"
        licence = before.licence
        known = before.corpora is not None
        corpora = own | set(before.corpora or ())
    # what is gone on from may have seen others of them
    told = (
        {}
        if init is not None and (not known or own & set(before.corpora or ()))
        else {"utterances": of_utterances(cut.id for cut in cuts)}
    )
    made = told | {"name": name, "licence": licence, "training_data": data, "supervision": "self-supervised"}
    return made | ({"corpora": sorted(corpora)} if known and own else {})


def save_backbone(
    folder: Path, weights: dict[str, Tensor], config: PretrainConfig, init: Path | None, card: dict[str, Any]
) -> None:
    """Write a folder in transformers' layout, from the weights of a :class:`PretrainTask`'s model."""
    own = "encoder.network."
    tensors = {name.removeprefix(own): tensor for name, tensor in weights.items() if name.startswith(own)}
    folder.mkdir(parents=True, exist_ok=True)
    save_tensors(folder / WEIGHTS, tensors, {"format": "pt"})
    write_json(folder / CONFIG, _settings(config, init))
    preprocessor = {"sampling_rate": RATE, "do_normalize": True} if init is None else open_folder(init).preprocessor
    write_json(folder / PREPROCESSOR, preprocessor)
    write_text(folder / CARD, yaml.safe_dump(card, sort_keys=False))


def _settings(config: PretrainConfig, init: Path | None) -> dict[str, Any]:
    if init is not None:
        return open_folder(init).config
    return {"model_type": "hubert"} | hubert_settings(config.network)


def _start(config: PretrainConfig, init: Path | None, seed: int, device: str) -> SpeechEncoder:
    if init is not None:
        encoder = load_speech(init, device=device)
    else:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / CONFIG).write_text(json.dumps(_settings(config, None)))
            (Path(folder) / PREPROCESSOR).write_text(json.dumps({"sampling_rate": RATE, "do_normalize": True}))
            encoder = load_speech(folder, random_seed=seed, device=device)
    if not isinstance(encoder, MaskedSpeechEncoder) or encoder.hop != 320 or encoder.least_samples != 400:
        raise UserError(
            f"{init} is a {encoder.backbone.family} of other frames; pretraining goes on from models of the "
            "wav2vec 2.0 family, with frames of 25 ms every 20 ms"
        )
    return encoder
