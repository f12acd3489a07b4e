"""Checks on captions: what a language model says when it does not describe the clip. Pure functions of the text."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

FILTERED_BY_SERVER = "content_filter"
"""`finish` of an answer that the server refused to give."""
_CUT_OFF = "length"
"""`finish` of an answer that reached the maximum number of tokens."""

_WORD = re.compile(r"[^\W_]+(?:['-][^\W_]+)*")
"""A word; parts joined by hyphens or apostrophes are one word."""
_MIN_ASCII_LETTERS = 0.9
"""Least share of letters in ASCII: nearly all in English prose, hardly any in text of another script."""
_FUNCTION_WORDS = frozenset(
    _WORD.findall(
        "the of and is are with to that its it from by at while which has have this these into over their his her an "
        "for there through against then behind above below near across toward towards along around between up down "
        "out off he she they as being beneath under onto before after slowly gently"
    )
)
_MIN_FUNCTION_WORDS = 0.15
"""Least share of function words: a third or more in English descriptions, hardly any in German, French, Spanish,
Italian, Dutch and Portuguese ones."""
_MIN_WORDS_FOR_STATISTICS = 8
"""A text of fewer words has too few to tell its language by its function words, or to find repetition in it."""
_NGRAM = 4
_MAX_REPEATED_NGRAMS = 0.2
"""Greatest share of 4-grams of words that occurred before in the text: hardly any in prose, nearly all in a loop."""

_REFUSAL = re.compile(
    r"""\b(?:
        i(?:'m|\ am)\ (?:very\ |so\ |really\ )?sorry
      | (?:i\ apologi[sz]e|my\ apologies)
      | sorry,?\ (?:but\ )?i\b
      | i(?:'m|\ am)\ (?:not\ able|unable)\ to
      | i\ (?:cannot|can't|can\ not|could\ not|couldn't|won't|will\ not)\ (?:\w+\ )?
        (?:view|see|watch|describe|assist|help|provide|analy[sz]e|identify|process|access|generate|create|fulfil|comply
          |comment|discuss|open|determine|answer|do\ that|continue)
      | i\ (?:don't|do\ not)\ (?:\w+\ )?have\ (?:\w+\ )?(?:access|ability|capability)
      | as\ an?\ (?:ai|(?:large\ )?language\ model|artificial\ intelligence)\b
      | (?:no|without\ any)\ (?:image|picture|frame|video)s?\ (?:was|were|is|are|has\ been|have\ been)\ 
        (?:provided|attached|uploaded|given|visible)
      | (?:please|could\ you)\ (?:provide|upload|share|attach)\ (?:\w+\ ){0,3}(?:image|picture|frame|video)s?
      | (?:against|violates?)\ (?:my|our|the)\ (?:content\ )?(?:guidelines|polic(?:y|ies))
    )""",
    re.VERBOSE,
)
"""Refusals are in the first person or about the task: a clip may well show a sign that says sorry, or a man who cannot
reach something."""


def caption_problem(text: str, finish: str, min_words: int, max_words: int) -> str | None:
    """Returns what is wrong with a caption, or None.

    One of "empty", "cut off", "refusal", "repetition", "not English", "too short", "too long". A refusal is often too
    short as well, and a repetition cut off: the cause is returned rather than the effect.

    Args:
        text: the caption.
        finish: why the answer ended, as an OpenAI-compatible server reports it: "stop", "length", "content_filter".
        min_words: fewer words are too short.
        max_words: more words are too long.
    """
    words = words_of(text)
    if finish == FILTERED_BY_SERVER:
        return "refusal"
    if not words:
        return "empty" if not text.strip() else "not English"
    if _is_refusal(text):
        return "refusal"
    if len(words) >= _MIN_WORDS_FOR_STATISTICS and repeated_share(words) > _MAX_REPEATED_NGRAMS:
        return "repetition"
    if finish == _CUT_OFF:
        return "cut off"
    if not _is_english(text):
        return "not English"
    if len(words) < min_words:
        return "too short"
    return "too long" if len(words) > max_words else None


def words_of(text: str) -> list[str]:
    """Returns the words of a text in lower case."""
    return _WORD.findall(_normalised(text).lower())


def function_word_share(words: list[str]) -> float:
    """Returns the share of words that are common English function words, 0..1."""
    return sum(word in _FUNCTION_WORDS for word in words) / len(words)


def repeated_share(words: list[str]) -> float:
    """Returns the share of the 4-grams of words that repeat an earlier 4-gram, 0..1."""
    ngrams = Counter(tuple(words[i : i + _NGRAM]) for i in range(len(words) - _NGRAM + 1))
    return 1 - len(ngrams) / ngrams.total() if ngrams else 0.0


def _is_refusal(text: str) -> bool:
    return _REFUSAL.search(" ".join(_normalised(text).lower().split())) is not None


def _is_english(text: str) -> bool:
    """Returns whether the letters are ASCII and, in a text long enough, function words have their usual share."""
    letters = [character for character in _normalised(text) if character.isalpha()]
    if not letters or sum(letter.isascii() for letter in letters) < _MIN_ASCII_LETTERS * len(letters):
        return False
    words = words_of(text)
    return len(words) < _MIN_WORDS_FOR_STATISTICS or function_word_share(words) >= _MIN_FUNCTION_WORDS


def _normalised(text: str) -> str:
    """Returns the text in Unicode form NFKC with plain apostrophes."""
    return unicodedata.normalize("NFKC", text).replace("\u2019", "'")
