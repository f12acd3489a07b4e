"""Checks that reject captions which do not describe the clip: refusals, repetitions, cut-off or non-English texts."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

FILTERED_BY_SERVER = "content_filter"
"""`finish` of an answer that the server's content filter withheld."""
_CUT_OFF = "length"
"""`finish` of an answer that reached the maximum number of tokens."""

_WORD = re.compile(r"[^\W_]+(?:['-][^\W_]+)*")
"""A word: letters and digits, including parts joined by hyphens or apostrophes."""
_MIN_ASCII_LETTERS = 0.9
"""Minimum share of ASCII letters: nearly 1 in English prose, near 0 in other scripts."""
_FUNCTION_WORDS = frozenset(
    _WORD.findall(
        "the of and is are with to that its it from by at while which has have this these into over their his her an "
        "for there through against then behind above below near across toward towards along around between up down "
        "out off he she they as being beneath under onto before after slowly gently"
    )
)
_MIN_FUNCTION_WORDS = 0.15
"""Minimum share of English function words: a third or more in English descriptions, near 0 in German, French, Spanish,
Italian, Dutch and Portuguese descriptions."""
_MIN_WORDS_FOR_STATISTICS = 8
"""Texts with fewer words are too short for the checks on function words and repetition."""
_NGRAM = 4
_MAX_REPEATED_NGRAMS = 0.2
"""Maximum share of word 4-grams that repeat an earlier 4-gram: near 0 in prose, near 1 in a repetition loop."""

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
"""Matches refusals only in the first person or about the task: a caption may describe a sign that says "sorry", or a
man who cannot reach something."""


def caption_problem(text: str, finish: str, min_words: int, max_words: int) -> str | None:
    """Returns the first check that a caption fails, or None if it passes all.

    The checks are "empty", "cut off", "refusal", "repetition", "not English", "too short" and "too long". Causes are
    checked before effects: a refusal is often also too short, and a repetition is often also cut off.

    Args:
        text: the caption.
        finish: why the answer ended, as an OpenAI-compatible server reports it: "stop", "length", "content_filter".
        min_words: captions with fewer words are "too short".
        max_words: captions with more words are "too long".
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
    """Returns the share of word 4-grams that repeat an earlier 4-gram, 0..1."""
    ngrams = Counter(tuple(words[i : i + _NGRAM]) for i in range(len(words) - _NGRAM + 1))
    return 1 - len(ngrams) / ngrams.total() if ngrams else 0.0


def _is_refusal(text: str) -> bool:
    return _REFUSAL.search(" ".join(_normalised(text).lower().split())) is not None


def _is_english(text: str) -> bool:
    """Returns whether a text is English, by its shares of ASCII letters and of English function words.

    Function words are counted only in texts of at least _MIN_WORDS_FOR_STATISTICS words.
    """
    letters = [character for character in _normalised(text) if character.isalpha()]
    if not letters or sum(letter.isascii() for letter in letters) < _MIN_ASCII_LETTERS * len(letters):
        return False
    words = words_of(text)
    return len(words) < _MIN_WORDS_FOR_STATISTICS or function_word_share(words) >= _MIN_FUNCTION_WORDS


def _normalised(text: str) -> str:
    """Returns the text in Unicode form NFKC with plain apostrophes."""
    return unicodedata.normalize("NFKC", text).replace("\u2019", "'")
