"""Text in many languages is told from text whose letters were shifted, exchanged, lost or set apart."""

from __future__ import annotations

import random
import string

import pytest

from smart_demo.indexing.layer_quality import fold, measure, suspicious_runs

SENTENCES = {
    "english": "Tighten the flange bolts to forty five newton metres. Use the part number for the gasket.",
    "german": "Die Anleitung beschreibt, wie die Flanschschrauben mit dem richtigen Drehmoment angezogen werden.",
    "french": "Le présent rapport décrit les mesures effectuées pendant l'année et les résultats obtenus.",
    "spanish": "El presente aviso informa a los navegantes sobre la posición de las boyas y del puerto.",
    "finnish": "Tämä ohje kertoo, miten laippapultit kiristetään oikeaan momenttiin ja mitä tiivistettä käytetään.",
    "polish": "Niniejsza instrukcja opisuje sposób dokręcania śrub kołnierza oraz wymianę uszczelki po godzinach.",
    "turkish": "Bu kılavuz flanş cıvatalarının doğru torkla nasıl sıkılacağını ve hangi contanın kullanıldığını.",
    "czech": "Tento návod popisuje správné utažení šroubů příruby a výměnu těsnění po padesáti hodinách provozu.",
    "hungarian": "Ez az útmutató leírja, hogyan kell meghúzni a karima csavarjait a megfelelő nyomatékkal.",
    "dutch": "Deze handleiding beschrijft hoe de flensbouten met het juiste koppel worden aangedraaid.",
    "danish": "Denne vejledning beskriver hvordan flangeboltene spændes med det rigtige moment og hvilken pakning.",
    "indonesian": "Petunjuk ini menjelaskan cara mengencangkan baut flensa dengan torsi yang benar dan gasket.",
    "irish": "Míníonn an treoirleabhar seo conas na boltaí a theannadh leis an gcasmhóimint cheart agus gaiscéad.",
    "welsh": "Mae'r llawlyfr hwn yn disgrifio sut i dynhau'r bolltau fflans gyda'r trorym cywir a pha gasged.",
    "swahili": "Mwongozo huu unaeleza jinsi ya kukaza boliti za flenji kwa nguvu sahihi na gasketi inayotumika.",
    "part numbers": "AX-2291/B GTX 4410 PCB LED USB RS-232 SN 20394 HDMI EN ISO 9001 DIN 933 M8x30 QTY EUR VAT PO",
}
OTHER_SCRIPTS = {
    "russian": "Настоящее руководство описывает порядок затяжки болтов фланца с правильным моментом",
    "hebrew": "דוח רבעוני על ייצור יין בגליל ספק ציוד תקשורת תעשייתי",
    "chinese": "檔案管理系統 說明書 飛機維修 螺絲扭矩 標準 檔案管理系統 說明書 飛機維修 螺絲扭矩 標準",
    "hindi": "यह पुस्तिका बताती है कि फ्लैंज के बोल्ट सही टॉर्क से कैसे कसे जाते हैं",
}


def shift_letters(text: str, steps: int) -> str:
    """Shift each letter in the alphabet, as a font whose mapping to Unicode is off by `steps`."""
    lower, upper = string.ascii_lowercase, string.ascii_uppercase
    shifted = (letters[steps:] + letters[:steps] for letters in (lower, upper))
    return text.translate(str.maketrans(lower + upper, "".join(shifted)))


def shift_codes(text: str, steps: int) -> str:
    """Shift all character codes, as poppler prints glyph numbers of a font without a mapping to Unicode."""
    return " ".join("".join(chr((ord(c) - 33 - steps) % 94 + 33) for c in word) for word in text.split())


@pytest.mark.parametrize("language", [*SENTENCES, *OTHER_SCRIPTS])
def test_text_of_any_language_is_trusted(language: str) -> None:
    words = (SENTENCES | OTHER_SCRIPTS)[language].split()
    assert not measure(words).suspicious
    assert not suspicious_runs([str(n) for n in range(40)])  # a table of numbers says nothing


@pytest.mark.parametrize("language", [name for name in SENTENCES if name != "part numbers"])
def test_shifted_and_exchanged_letters_are_suspicious(language: str) -> None:
    text, random_order = SENTENCES[language], random.Random(language)
    for steps in range(1, 26):
        assert measure(shift_letters(text, steps).split()).suspicious, steps
    for steps in (3, 29, 31):
        bad = measure(shift_codes(text, steps).split())
        assert bad.suspicious, steps
    if language == "english":
        good = measure(text.split())
        assert good.is_better_than(bad)
        assert not bad.is_better_than(good)
    suspicious = 0
    for _ in range(20):
        letters = "".join(random_order.sample(string.ascii_lowercase, 26))
        exchanged = text.lower().translate(str.maketrans(string.ascii_lowercase, letters))
        suspicious += measure(exchanged.split()).suspicious
    assert suspicious >= 19


def test_missing_spaces_single_letters_and_unreadable_characters_are_suspicious() -> None:
    text = SENTENCES["english"]
    assert measure(["".join(text.split())]).suspicious
    assert measure(list("".join(text.split()))).suspicious
    private = "".join(chr(0xE000 + ord(c)) for c in "Tighten the flange bolts")
    assert measure(private.split()).suspicious
    assert measure(["\ufffd" * 5, "bolts"]).suspicious


def test_only_the_broken_font_s_words_are_doubted() -> None:
    good, bad = SENTENCES["english"].split(), shift_letters(SENTENCES["english"], 3).split()
    runs = suspicious_runs([*good, *bad, *good])
    doubted = {n for run, _ in runs for n in run}
    middle = set(range(len(good), len(good) + len(bad)))
    assert doubted & middle
    assert len(doubted - middle) <= 8
    assert len(middle - doubted) <= 4


def test_statistics_of_no_words_are_zero() -> None:
    assert measure([]).letters == 0
    assert not measure([]).suspicious
    assert fold("ÄÖ ß1") == "ao"
