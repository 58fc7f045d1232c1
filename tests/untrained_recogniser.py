"""A recogniser that has learnt nothing, for what only needs one."""

from pathlib import Path

import torch

from sertools.a2w.system import A2wConfig
from sertools.a2w.training import save_a2w
from sertools.config import read_values, to_dict
from sertools.features.pipeline import features_config
from sertools.lang.vocabulary import VocabularyConfig, build_vocabulary
from sertools.models.a2w import A2wModel, A2wModelConfig
from sertools.training.checkpoint import Checkpoint


def save_untrained_a2w(directory: Path, fbank: Path) -> None:
    """A recogniser with random weights, as egs/tedlium2 would leave it."""
    torch.manual_seed(0)
    vocabulary = build_vocabulary(["i am so happy that it is not the same again"], VocabularyConfig())
    shape = A2wModelConfig(40, 3, 1, 6, 8, 6, 8, 2, 5)
    model = A2wModel(shape, len(vocabulary))
    model.set_input_statistics(torch.full((40,), 10.0), torch.full((40,), 4.0))
    features = {"fbank": to_dict(features_config(*read_values(fbank)).options)}
    info = {"vocabulary": vocabulary.sha256, "auxiliary_outputs": 0, "features": features}
    save_a2w(directory, Checkpoint(model.state_dict(), to_dict(A2wConfig(model=shape)), info), vocabulary)
