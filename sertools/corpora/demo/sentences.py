"""What the synthetic speakers say: a grammar of talks, and lines of dialogue for each emotion."""

import re

import numpy as np

_SLOT = re.compile(r"\{(\w+)\}")

_NAME = re.compile(r"\b(africa|india|china|america|europe|london|boston|brazil|mexico|japan|canada)\b")

_WORDS = {
    "noun": "brain city forest ocean computer machine village school language picture story question problem "
    "disease market river planet cell family heart hand body world bridge garden voice pattern network theory "
    "company government student teacher doctor child friend animal bird insect flower tree building camera "
    "telephone window engine robot satellite molecule protein law map song letter book film game road boat "
    "mountain island desert farm kitchen house hospital library museum mirror shadow circle number signal "
    "memory dream decision mistake experiment method system future moment journey",
    "plural": "people children women men scientists doctors teachers students neighbors engineers artists farmers "
    "nurses musicians animals birds insects cells machines computers cities countries languages stories questions "
    "problems ideas pictures numbers patterns diseases companies oceans forests rivers families houses",
    "adjective": "new old small large simple strange beautiful dangerous important quiet common different difficult "
    "young open hidden powerful fragile natural modern ancient global local human cheap bright dark heavy empty "
    "perfect ordinary surprising",
    "verb": "change build teach understand measure share protect design explain discover imagine remember follow "
    "move feed watch help save open grow repair study trust question",
    "past": "changed built taught understood measured shared protected designed explained discovered imagined "
    "remembered followed moved watched helped saved opened studied repaired",
    "ing": "changing building teaching measuring sharing protecting designing explaining discovering imagining "
    "following moving watching helping saving opening growing studying",
    "place": "africa india china america europe london boston brazil mexico japan canada the_city the_village "
    "the_hospital the_laboratory the_north the_mountains the_desert this_room our_school",
    "number": "two three four five six seven eight nine ten twelve twenty thirty fifty a_hundred a_thousand "
    "a_million one",
    "unit": "years months weeks days hours minutes miles dollars percent pages steps",
    "adverb": "really actually slowly quickly simply finally always never often suddenly usually together",
}
_LEXICON = {slot: [word.replace("_", " ") for word in words.split()] for slot, words in _WORDS.items()}

_TALK = [
    "so this is a {adjective} {noun} that i {past} in {place}",
    "and the {noun} is {adverb} {adjective}",
    "we can {verb} the {noun} without {ing} the {noun}",
    "i want to {verb} the way that {plural} {verb} their {noun}",
    "about {number} {unit} ago we {past} a {noun} in {place}",
    "what if we could {verb} every {noun} on this planet",
    "it's not the {noun} it's the {noun} that {plural} {verb}",
    "and i thought to myself this {noun} can't be {adjective}",
    "you're going to see {number} {plural} and a {adjective} {noun}",
    "there are {number} {plural} in {place} who {verb} the {noun} for {number} {unit}",
    "that's why the {plural} {past} the {adjective} {noun}",
    "we don't know how {plural} {verb} but we know that they {adverb} {verb}",
    "let me show you a {noun}",
    "here is the {adjective} {noun} and here is the {noun}",
    "my {noun} was a {noun} and my {noun} was a {adjective} {noun}",
    "if you {verb} a {noun} you have to {verb} the {noun} too",
    "the first thing that we {past} was the {noun} of the {noun}",
    "most of the {plural} that you see here are from {place}",
    "and they said to me you're {ing} the wrong {noun}",
    "it takes {number} {unit} to {verb} a {adjective} {noun}",
    "i'm {adverb} {ing} the {noun} with {plural} from {place}",
    "in {place} {plural} have {adverb} {past} the {noun}",
    "this is what happens when {plural} {verb} together",
    "now think about a {noun} as a {adjective} {noun}",
    "they've {past} more than {number} {plural} in {number} {unit}",
    "she {past} the {noun} and he {past} the {noun}",
    "so we went to {place} to {verb} the {plural}",
    "it's the {noun} of our {noun}",
    "and that's a {adjective} idea",
    "how do {plural} {verb} a {noun} that is so {adjective}",
    "we've got {number} {unit} left to {verb} the {noun}",
    "thank you very much",
]

_ANY = [
    "I was talking to my {noun} about the {noun}.",
    "You said that you would be here {number} {unit} ago.",
    "We were at the {noun} with the {plural}.",
    "Did you see the {noun} that I told you about?",
    "I think it was about {number} {unit} ago.",
    "They want to {verb} the {noun} in {place}.",
    "So what are you going to do about the {noun}?",
    "I have to {verb} the {noun} before we go to {place}.",
    "It's the same {noun} that we had the last time.",
    "Well, you know how the {plural} are.",
    "He told me that the {noun} is {adjective}.",
    "I don't know what to say about it.",
    "She will be here with the {plural} in {number} {unit}.",
    "Let me tell you about the {noun} in {place}.",
    "We met in that little caf\xe9 near the {noun}.",
    "That's what I said.",
]
_OWN = {
    "ang": [
        "How many times do I have to tell you?",
        "This is ridiculous, I want to see your supervisor.",
        "Don't you dare talk to me like that!",
        "I have been standing in this line for {number} {unit}!",
        "Get out of here and leave me alone!",
        "You never listen to a word that I say!",
        "I hate this stupid {noun}.",
        "That is not my problem, do you hear me?",
    ],
    "exc": [
        "Oh my god, I got the {noun}!",
        "I'm so excited, I can't believe it!",
        "We are getting married in {number} {unit}!",
        "That is amazing, congratulations!",
        "Guess what, they said yes!",
        "This is the best day of my life!",
        "You have to come and see the {adjective} {noun}!",
        "I won, I really won!",
    ],
    "hap": [
        "I'm so glad that you came.",
        "It's lovely to see you again.",
        "That makes me happy.",
        "What a beautiful {noun}, I love it.",
        "I had a wonderful time in {place}.",
        "We laughed about the {noun} for {number} {unit}.",
    ],
    "sad": [
        "I miss her so much.",
        "I don't know how to go on without him.",
        "She was only {number} years old.",
        "I can't believe that he's gone.",
        "There is nothing that we can do now.",
        "I just wish that I had said goodbye.",
        "It's not going to be the same without you.",
        "I'm sorry, I can't stop crying.",
    ],
    "neu": [
        "Can I see your identification, please?",
        "You have to fill in the form over there.",
        "Do you have the form with you?",
        "Okay, what's your name?",
        "The {noun} is on the table.",
        "I'll be back in {number} {unit}.",
        "We can look at it on {number} pages.",
        "Yes, that's the right line.",
    ],
    "fru": [
        "I've been trying for {number} {unit} and nothing works.",
        "Why is it always the same with you?",
        "There must be something that you can do.",
        "I already told them {number} times.",
        "I don't understand why I have to do it again.",
        "It's just one thing after the other.",
    ],
    "sur": ["What, are you serious?", "Wow, I didn't expect that.", "Really, when did that happen?"],
    "fea": ["Please don't leave me alone in the dark.", "I'm scared, what was that?", "What if they find the {noun}?"],
    "dis": ["That's disgusting, take it away.", "Oh, it smells awful."],
    "oth": ["Sure, whatever you say.", "Ha, as if you knew."],
}
_SHORT = ["Yeah.", "Okay.", "I know.", "Why not?", "Excuse me.", "All right."]

RARE_NAMES = ["Szymborska", "Kowalczyk", "Ramanujan", "Eyjafjoll", "Quetzalcoatl"]
"""Spoken names that no dictionary has; TED-LIUM transcribes such words as ``<unk>``."""


def talk_sentence(rng: np.random.Generator) -> str:
    """One sentence of a talk: lower case, no punctuation, clitics joined ("it's")."""
    return _fill(_TALK[rng.integers(len(_TALK))], rng)


def dialogue_line(emotion: str, own_wording: float, rng: np.random.Generator) -> str:
    """One turn of a dialogue, with case and punctuation.

    Args:
        emotion: IEMOCAP's code (ang, hap, ...).
        own_wording: the probability that the words themselves tell the emotion.
        rng: drawn from.
    """
    own = rng.random() < own_wording
    short = rng.random() < 0.05
    lines = _OWN[emotion] if own else _SHORT if short else _ANY
    line = _fill(lines[rng.integers(len(lines))], rng)
    line = _NAME.sub(lambda match: match.group().capitalize(), line)
    return line[0].upper() + line[1:]


def vocabulary() -> list[str]:
    """Every word of the talks and dialogues in lower case (no accents), sorted."""
    texts = [text for slot in _LEXICON.values() for text in slot] + ["an", *_TALK] + _ANY + _SHORT
    texts += [line for lines in _OWN.values() for line in lines]
    words = {word for text in texts for word in re.findall(r"[^\s.,?!]+", _SLOT.sub(" ", text.lower()))}
    return sorted(word for word in words if word.isascii())


def _fill(template: str, rng: np.random.Generator) -> str:
    filled = _SLOT.sub(lambda match: _LEXICON[match.group(1)][rng.integers(len(_LEXICON[match.group(1)]))], template)
    return re.sub(r"\ba (?=[aeiou])", "an ", filled)
