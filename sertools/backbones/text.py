"""Text models (BERT and its like): a row for every word."""

import logging
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from sertools.backbones.card import Backbone
from sertools.backbones.encoder import Layers, chosen
from sertools.backbones.folder import Folder
from sertools.backbones.library import quiet, transformers_for, understood
from sertools.backbones.masked import load_exactly
from sertools.errors import UserError

log = logging.getLogger(__name__)

Pooling = Literal["mean", "first"]
FAMILIES = ("bert", "roberta", "xlm-roberta", "camembert", "distilbert", "electra", "mpnet", "deberta", "deberta-v2")
BY_BYTES = ("roberta", "deberta")  # tokenizers that know a word's start by the space before it
NOT_NEEDED = ("pooler", "position_ids")


class TextEncoder(nn.Module):
    """A text model and its tokenizer.

    Args:
        network: transformers' model.
        tokenizer: transformers' fast tokenizer.
        backbone: what it is.
        most: sub-words, with those at begin and end, that the model takes.

    Attributes:
        backbone: see above.
    """

    def __init__(self, network: nn.Module, tokenizer: Any, backbone: Backbone, most: int) -> None:
        super().__init__()
        self.network = network
        self.tokenizer = tokenizer
        self.backbone = backbone
        self.most = most

    def word_states(
        self,
        sentences: Sequence[Sequence[str]],
        layers: Layers = None,
        pooling: Pooling = "mean",
        batch_words: int = 500,
    ) -> list[Tensor]:
        """Hidden states of words, each sentence as if it were alone.

        Args:
            sentences: words as the transcript has them, split at spaces.
            layers: see :data:`sertools.backbones.encoder.Layers`.
            pooling: of a word's sub-words: their mean, or the first.
            batch_words: that are computed together, padding included.

        Returns:
            float32 (L, W, C) for each sentence, row w of word w, on the CPU; W = 0 for none.

        A sentence beyond what the model takes is cut into halves between words, until they fit; a word of
        which the tokenizer makes nothing (of control characters) is its unknown token.  Both are logged.
        """
        if self.training:
            raise ValueError("hidden states are those of evaluation mode")
        wanted = chosen(self.backbone, layers)
        pieces: list[tuple[int, list[str]]] = []
        for index, words in enumerate(sentences):
            parts = self._fitting([self._known(word) for word in words]) if words else []
            if len(parts) > 1:
                log.warning("a sentence of %d words is computed in %d pieces: %s ...", len(words), len(parts), words[0])
            pieces += [(index, part) for part in parts]
        order = sorted(range(len(pieces)), key=lambda i: len(pieces[i][1]))
        made: dict[int, Tensor] = {}
        while order:
            batch = [order.pop(0)]
            while order and (len(batch) + 1) * len(pieces[order[0]][1]) <= batch_words:
                batch.append(order.pop(0))
            made.update(zip(batch, self._compute([pieces[i][1] for i in batch], wanted, pooling), strict=True))
        whole = []
        for index in range(len(sentences)):
            own = [made[i] for i in range(len(pieces)) if pieces[i][0] == index]
            whole.append(torch.cat(own, 1) if own else torch.zeros(len(wanted), 0, self.backbone.dimension))
        return whole

    def _known(self, word: str) -> str:
        if self.tokenizer([word], is_split_into_words=True, add_special_tokens=False)["input_ids"]:
            return word
        log.warning("the tokenizer makes nothing of the word %r: it counts as unknown", word)
        return str(self.tokenizer.unk_token)

    def _fitting(self, words: list[str]) -> list[list[str]]:
        """The words, in pieces that the model takes."""
        if len(self.tokenizer(words, is_split_into_words=True)["input_ids"]) <= self.most:
            return [words]
        if len(words) == 1:
            raise UserError(
                f"a word of more than {self.most} sub-words, which {self.backbone.name} cannot take: {words[0]}"
            )
        half = len(words) // 2
        return self._fitting(words[:half]) + self._fitting(words[half:])

    def _compute(self, sentences: list[list[str]], layers: list[int], pooling: Pooling) -> list[Tensor]:
        tokens = self.tokenizer(sentences, is_split_into_words=True, padding=True, return_tensors="pt")
        device = next(self.network.parameters()).device
        inputs = {name: values.to(device) for name, values in tokens.items()}
        with torch.inference_mode():
            hidden = self.network(**inputs, output_hidden_states=True).hidden_states
        states = torch.stack([hidden[layer].float() for layer in layers], 1).cpu()  # (N, L, S, C)
        found = []
        for row, words in enumerate(sentences):
            ids = tokens.word_ids(row)
            places: list[list[int]] = [[] for _ in words]
            for place, word in enumerate(ids):
                if word is not None:
                    places[word].append(place)
            rows = [states[row][:, of[:1] if pooling == "first" else of].mean(1) for of in places]
            found.append(torch.stack(rows, 1))
        return found


def load(folder: Folder, random_seed: int | None) -> TextEncoder:
    """Load a text model; see :func:`sertools.backbones.load.load_text`."""
    transformers = transformers_for(f"the model {folder.path}")
    if not (folder.path / "tokenizer.json").exists() and not (folder.path / "vocab.txt").exists():
        raise UserError(f"{folder.path} has no tokenizer.json; get the tokenizer's files of the model too")
    with understood(str(folder.path)):
        return _load(transformers, folder, random_seed)


def _load(transformers: Any, folder: Folder, random_seed: int | None) -> TextEncoder:
    options = {"add_prefix_space": True} if folder.family in BY_BYTES else {}
    with quiet():
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            folder.path, local_files_only=True, trust_remote_code=False, use_fast=True, **options
        )
        config = transformers.AutoConfig.from_pretrained(folder.path, local_files_only=True, trust_remote_code=False)
        if random_seed is not None:
            torch.manual_seed(random_seed)
            network = transformers.AutoModel.from_config(config, trust_remote_code=False)
        else:
            network = load_exactly(transformers.AutoModel, folder, config, NOT_NEEDED)
    if not tokenizer.is_fast:
        raise UserError(
            f"{folder.path} has a tokenizer that does not say which sub-words make a word; get tokenizer.json"
        )
    positions = int(getattr(config, "max_position_embeddings", 512)) - (2 if "roberta" in folder.family else 0)
    most = min(positions, int(min(tokenizer.model_max_length, 10**6)))
    backbone = folder.backbone(config.num_hidden_layers + 1, config.hidden_size, seed=random_seed)
    return TextEncoder(network.float(), tokenizer, backbone, most)
