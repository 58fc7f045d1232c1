"""Settings of a recurrent network on speech and words."""

from dataclasses import dataclass, field
from typing import Literal

from sertools.features.learned.ssl import NAME
from sertools.features.learned.text import NAME as TEXT
from sertools.training.loop import TrainingConfig


@dataclass(frozen=True)
class SpeechTextModelConfig:
    """The network; S3a (Boigne et al. 2020, arXiv 2011.05585) does not say the kinds and sizes of its layers.

    Attributes:
        layers: which of the layers of speech are read, put side by side, counted as they are stored; none where
            speech has no layers.
        hidden_dim: of each direction of the LSTMs.
        attention_dim: of the attention of words to frames, and of that which pools.
        head_dim: of the dense layer with ReLU; 0 for none.
        dropout: proportion, of what the LSTMs and the output layer read.
    """

    layers: tuple[int, ...] = ()
    hidden_dim: int = 128
    attention_dim: int = 64
    head_dim: int = 128
    dropout: float = 0.3

    def __post_init__(self) -> None:
        if not 0 <= self.dropout < 1:
            raise ValueError("dropout must be at least 0 and below 1")


@dataclass(frozen=True)
class SpeechTextDataConfig:
    """How utterances become batches.

    Attributes:
        batch_size: utterances.
        class_weights: ``balanced`` weighs a class by the inverse of the number of its utterances that train.
        memory_gb: see :class:`sertools.emotion.data.Reading`.
    """

    batch_size: int = 32
    class_weights: Literal["none", "balanced"] = "none"
    memory_gb: float | None = None


@dataclass(frozen=True)
class SpeechTextConfig:
    """A whole system.

    Attributes:
        system: tells it from other kinds.
        speech: name of frames on the cuts, ``features`` or ``ssl``; empty for none.
        words: name of rows a word, ``text:12`` (of the transcript) or ``recognised_text:12``; empty for none.
        times: name of the times of words, ``word_times``: each word is put beside the mean of the frames in which it
            is said, by a forced aligner; empty: each word attends to the frames.
        model, data, training: see there.
    """

    system: Literal["speech_text"] = "speech_text"
    speech: str = NAME
    words: str = ""
    times: str = ""
    model: SpeechTextModelConfig = field(default_factory=SpeechTextModelConfig)
    data: SpeechTextDataConfig = field(default_factory=SpeechTextDataConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def __post_init__(self) -> None:
        if not self.speech and not self.words:
            raise ValueError("speech or words must be read")
        if ":" in self.speech or (":" in self.words and not self.words.partition(":")[2].isdigit()):
            raise ValueError("speech must be a name (its layers are model.layers), words a name, or NAME:LAYER")
        if self.times and not (self.speech and self.reads_reference):
            raise ValueError("times are those of the words of the transcript (words: text:LAYER) in speech")

    @property
    def arrays(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Names of what is read of speech, and of words."""
        layers = tuple(f"{self.speech}:{layer}" for layer in self.model.layers)
        return (layers or (self.speech,) if self.speech else ()), ((self.words,) if self.words else ())

    @property
    def reads_reference(self) -> bool:
        """Whether it is told what was said."""
        return self.words.partition(":")[0] == TEXT
