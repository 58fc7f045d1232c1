"""Words beside emotion: an acoustic-to-word recogniser applied to utterances."""

from pathlib import Path

import torch

from sertools.a2w.training import load_a2w
from sertools.decoding.beam_search import BeamConfig, beam_search
from sertools.errors import UserError
from sertools.features.access import read
from sertools.prediction.audio import Source
from sertools.prediction.chain import FeatureChain
from sertools.prediction.stored import recording_of

LONGEST = 60  # seconds; the recogniser attends to all of an utterance at once


class Listener:
    """A recogniser that egs/tedlium2 (or another recipe) trained.

    Args:
        directory: its checkpoint.
        device: of its network.
        search: of the words.

    Raises:
        UserError: no such recogniser, or it does not say what features it hears.
    """

    def __init__(self, directory: Path, device: str = "cpu", search: BeamConfig | None = None) -> None:
        self.recogniser = load_a2w(directory, device)
        self.chain = FeatureChain(self.recogniser.features, {}, device, str(directory))
        if not self.chain:
            raise UserError(f"{directory} does not say what features it was trained on; train it again")
        self.search = search or BeamConfig()

    @torch.inference_mode()
    def __call__(self, source: Source) -> tuple[str, ...]:
        """The words of an utterance.

        Raises:
            UserError: it cannot be read, or is too short or too long.
        """
        with recording_of(source, LONGEST) as audio:
            (cut,) = audio.cuts(self.chain, [(0.0, audio.duration)])
            features = read(cut)
        model = self.recogniser.model
        encoding = model.encode(features[None].to(model.device), torch.tensor([len(features)]))
        best = beam_search(model, encoding, self.search)[0][0]
        return tuple(self.recogniser.vocabulary.words(best.tokens))
