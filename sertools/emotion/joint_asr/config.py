"""Settings of S4's systems."""

from dataclasses import dataclass, field, replace
from typing import Literal

from sertools.decoding.beam_search import BeamConfig
from sertools.emotion.objective import Loss
from sertools.models.a2w import A2wModelConfig
from sertools.models.speech_text import SpeechTextConfig
from sertools.training.loop import TrainingConfig
from sertools.training.precision import Precision

WordSource = Literal["reference", "asr"]
Tokens = Literal["reference", "hypothesis"]


@dataclass(frozen=True)
class DataConfig:
    """How utterances become batches.

    Attributes:
        batch_size: utterances of similar length; at most so many in a batch.
        max_frames: of longer utterances the branch ``audio`` hears so many frames (S4: 7.5 s); 0: all.
            A recogniser hears them whole.
        crop: which stretch of a longer utterance is heard in training; on dev and test it is the first.
        mask_padding: False lets ``audio`` read zeros up to ``max_frames``, as the code of S4 does.
        class_weights: ``balanced`` weighs an utterance by the inverse of its class's number of them.
    """

    batch_size: int = 20
    max_frames: int = 750
    crop: Literal["first", "random"] = "first"
    mask_padding: bool = True
    class_weights: Literal["none", "balanced"] = "none"

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.max_frames < 0:
            raise ValueError("batch_size must be at least 1, max_frames at least 0")
        if not self.mask_padding and not self.max_frames:
            raise ValueError("mask_padding: false pads to max_frames, which must then be above 0")


@dataclass(frozen=True)
class WordsConfig:
    """What the branch ``words`` reads.

    Attributes:
        train, test: reference transcripts, or those of a recogniser (``asr``); dev is as test.
        vocabulary: of the fold's ``train`` part, or the ``recogniser``'s.
        min_count: of ``train``: rarer words are unknown, which lets unknown words be learnt.
        keep_events: [LAUGHTER] in a reference is the word "laughter" (as in the code of S4), also for a
            recogniser that learns along; else no word.
    """

    train: WordSource = "reference"
    test: WordSource = "reference"
    vocabulary: Literal["train", "recogniser"] = "train"
    min_count: int = 2
    keep_events: bool = False


@dataclass(frozen=True)
class StatesConfig:
    """What the branch ``decoder_states`` reads.

    Attributes:
        decoder_state: ``state``: s_l, the decoder's state after word l (as the text of S4 says);
            ``output``: o_l = tanh(L_g g_l + L_s s_(l-1)), from which word l is predicted (as its code has
            it).  The step of the end symbol counts.
        train: the decoder reads the ``reference`` words (teacher forcing), or those of its own best
            ``hypothesis``.
        test: the same on dev and test; ``reference`` is no recognition of emotion from speech.
        search: how hypotheses are found.  One that did not end counts as it is.
        epoch_beam: beam of hypotheses in training and after every epoch, while the recogniser learns.
    """

    decoder_state: Literal["state", "output"] = "state"
    train: Tokens = "reference"
    test: Tokens = "hypothesis"
    search: BeamConfig = field(default_factory=BeamConfig)
    epoch_beam: int = 1

    @property
    def epoch_search(self) -> BeamConfig:
        """The search while the recogniser learns."""
        return replace(self.search, beam=self.epoch_beam)


@dataclass(frozen=True)
class JointConfig:
    """How the recogniser learns along: L = lambda L_ASR + (1 - lambda) L_SER (S4, equation 13).

    Attributes:
        train_recogniser: False leaves it as it is; the loss is then L_SER.
        weight: lambda.
        normalise: ``same``: L_ASR and L_SER are means over the utterances of a batch, an utterance's
            L_ASR a mean over its tokens.  ``code``: L_ASR is the sum over the utterances, as in the code
            of S4, where with 20 of them and lambda 0.2 the weights are 4.0 and 0.8.
        smoothing: of the labels in L_ASR.
        learning_rate_factor: of the recogniser, beside the rest.
    """

    train_recogniser: bool = True
    weight: float = 0.2
    normalise: Literal["same", "code"] = "same"
    smoothing: float = 0.1
    learning_rate_factor: float = 1.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.weight <= 1.0 or not 0.0 <= self.smoothing < 1.0:
            raise ValueError("weight and smoothing must be in 0 .. 1")


@dataclass(frozen=True)
class S4Config:
    """``conf/s4_*.yaml``: a whole system.

    Attributes:
        system: tells it from other kinds.
        model: the emotion network.
        data: batches.
        words, states, joint: of the branches that use them.
        recogniser: shape of the recogniser; None: taken from its checkpoint.
        training: the loop.
        precision: of activations while it trains: those of the emotion network, and of the encoder of a
            recogniser that learns along.  Weights, the recogniser's attention and decoder, class scores
            and losses are in float32, and LSTM layers on a GPU, for cuDNN has none in bfloat16.
        loss: None for the usual one of the folds' target, see :class:`sertools.emotion.objective.Objective`.
    """

    system: Literal["s4"] = "s4"
    model: SpeechTextConfig = field(default_factory=SpeechTextConfig)
    data: DataConfig = field(default_factory=DataConfig)
    words: WordsConfig = field(default_factory=WordsConfig)
    states: StatesConfig = field(default_factory=StatesConfig)
    joint: JointConfig = field(default_factory=JointConfig)
    recogniser: A2wModelConfig | None = None
    training: TrainingConfig = field(default_factory=TrainingConfig)
    precision: Precision = "float32"
    loss: Loss | None = None

    @property
    def reads_audio(self) -> bool:
        """Whether there is that branch."""
        return "audio" in self.model.branches

    @property
    def reads_words(self) -> bool:
        """Whether there is that branch."""
        return "words" in self.model.branches

    @property
    def reads_states(self) -> bool:
        """Whether there is the branch ``decoder_states``."""
        return "decoder_states" in self.model.branches

    @property
    def joint_training(self) -> bool:
        """Whether a recogniser learns along."""
        return self.reads_states and self.joint.train_recogniser

    @property
    def uses_recogniser(self) -> bool:
        """Whether one has to be given."""
        return self.reads_states or (self.reads_words and self.words.vocabulary == "recogniser")

    @property
    def uses_transcripts(self) -> bool:
        """Whether recognised words have to be given."""
        return self.reads_words and "asr" in (self.words.train, self.words.test)

    @property
    def reads_reference(self) -> bool:
        """Whether it is tested with what was really said, which no recogniser knows."""
        return (self.reads_words and self.words.test == "reference") or (
            self.reads_states and self.states.test == "reference"
        )
