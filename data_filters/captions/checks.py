"""Checks on captions: what a language model says when it does not describe the clip. Pure functions of the text."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

WORD = re.compile(r"[^\W_]+(?:['-][^\W_]+)*")
CUT_OFF = "length"
FILTERED_BY_SERVER = "content_filter"

ASCII_LETTERS = 0.9
"""English prose has all but a few of its letters in ASCII; text in another script has nearly none."""
FUNCTION_WORDS = frozenset(
    WORD.findall(
        "the of and is are with to that its it from by at while which has have this these into over their his her an "
        "for there through against then behind above below near across toward towards along around between up down "
        "out off he she they as being beneath under onto before after slowly gently"
    )
)
FUNCTION_SHARE = 0.15
"""English descriptions have a third or more of their words from the list; German, French, Spanish, Italian, Dutch and
Portuguese ones hardly any."""
JUDGED_FROM = 8
"""Words. A shorter text has too few function words to tell its language by, or n-grams to repeat."""
GRAM = 4
REPEATED_GRAMS = 0.2
"""Share of a text's 4-grams of words that came before in it: next to none in prose, near 1 in a loop."""

REFUSALS = re.compile(
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
"""In the first person, or about the task: a clip may well show a sign that says sorry, or a man who cannot reach."""


def problem(text: str, finish: str, min_words: int, max_words: int) -> str | None:
    """What is wrong with a caption, or None: "empty", "cut off", "refusal", "repetition", "not English", "too short",
    "too long". A refusal is short too, and a loop cut off: the cause is named before the effect."""
    found = words(text)
    if finish == FILTERED_BY_SERVER:
        return "refusal"
    if not found:
        return "empty" if not text.strip() else "not English"
    if is_refusal(text):
        return "refusal"
    if len(found) >= JUDGED_FROM and repeated_share(found) > REPEATED_GRAMS:
        return "repetition"
    if finish == CUT_OFF:
        return "cut off"
    if not is_english(text):
        return "not English"
    if len(found) < min_words:
        return "too short"
    return "too long" if len(found) > max_words else None


def words(text: str) -> list[str]:
    """The words in small letters; what hyphens and apostrophes join is one."""
    return WORD.findall(plain(text).lower())


def plain(text: str) -> str:
    """Compatible forms made one, so that a typographic apostrophe is an apostrophe."""
    return unicodedata.normalize("NFKC", text).replace("\u2019", "'")


def is_refusal(text: str) -> bool:
    return REFUSALS.search(" ".join(plain(text).lower().split())) is not None


def is_english(text: str) -> bool:
    """Judged by its letters, and by the share of common English words from `JUDGED_FROM` words on."""
    letters = [sign for sign in plain(text) if sign.isalpha()]
    if not letters or sum(sign.isascii() for sign in letters) < ASCII_LETTERS * len(letters):
        return False
    found = words(text)
    return len(found) < JUDGED_FROM or function_share(found) >= FUNCTION_SHARE


def function_share(found: list[str]) -> float:
    return sum(word in FUNCTION_WORDS for word in found) / len(found)


def repeated_share(found: list[str]) -> float:
    """Share of the text's 4-grams of words that repeat an earlier one."""
    grams = Counter(tuple(found[at : at + GRAM]) for at in range(len(found) - GRAM + 1))
    return 1 - len(grams) / grams.total() if grams else 0.0
