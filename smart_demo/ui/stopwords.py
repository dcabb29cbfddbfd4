"""Words that say little of where to look: their chips stand behind "show all". They count in the score as any other."""

from __future__ import annotations

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
"""In lower case, of the languages of the sample library."""
