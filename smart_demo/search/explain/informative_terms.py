"""The terms of a query that say what it is about: its picture, and its words without stop words."""

from __future__ import annotations

from collections.abc import Sequence

from smart_demo.search.explain.attribution import Term
from smart_demo.types import TokenKind

ENGLISH = """
a about all am an and any are as at be been being but by can could did do does doing for from had has have he her here
him his how i if in into is it its me my no not of off on or our out over she should so some such than that the their
them then there these they this those to under up us was we were what when where which who whom whose why will with
would you your
"""
GERMAN = """
aber alle als am an auf aus bei bin bis da dann das dem den der des die ein eine einem einen einer es für hat ich ihr
im in ist ja kann man mein mit nach nicht noch nur ob oder sein sich sie sind so über um und von vor was wenn wer wie
wir wird wo zu zum zur
"""
SPANISH = """
al como con cuando cuál de del dónde el ella en es esta este hay la las lo los me mi no o para por que qué se si sin son
su un una y
"""
STOPWORDS = frozenset(f"{ENGLISH} {GERMAN} {SPANISH}".split())
"""Stop words in lower case, of the languages of the sample library. They count in the score as any other word."""


def select_informative_terms(terms: Sequence[Term]) -> list[int]:
    """Return the indices of the picture and of all words but stop words and punctuation.

    If there are no other words, all words are returned. Further terms are shown behind "show all".
    """
    picture = [number for number, term in enumerate(terms) if term.kind is TokenKind.PATCH]
    words = [number for number, term in enumerate(terms) if term.word >= 0]
    informative = [
        number
        for number in words
        if any(map(str.isalnum, terms[number].label)) and terms[number].label.casefold() not in STOPWORDS
    ]
    return [*picture, *(informative or words)]
