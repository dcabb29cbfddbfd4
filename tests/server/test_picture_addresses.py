"""Addresses of pictures: which are given, how long a name lasts, what is cut, and what the routes serve to whom."""

import asyncio
import io
import re
from dataclasses import replace

import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from starlette.applications import Starlette

from smart_demo.errors import LibraryError
from smart_demo.page_text import Box
from smart_demo.server import gate, picture_addresses
from smart_demo.server.gate import ALLOWED_PATHS
from smart_demo.server.picture_addresses import (
    MAX_CROP_SIDE,
    NAME_SECONDS,
    OWN_FOLDER,
    REUSE_SECONDS,
    SAMPLES_FOLDER,
    Crop,
    PagePicture,
    PictureAddresses,
    PictureKind,
    PictureNames,
    cut_picture,
    make_crop,
    parse_stem,
)
from smart_demo.server.picture_routes import PictureRoutes
from smart_demo.server.request_limits import NOTHING_HERE, ConcurrencyLimiter, RequestLimiters
from smart_demo.server.visitors import VISITOR_HEADER, visitor_scope
from smart_demo.types import LOCAL, SAMPLES
from smart_demo.ui.theme import build_middleware
from tests.documents import write_pdf
from tests.server.cases import Clock, add, an_engine, visitor, without_index
from tests.ui.cases import stored

ALICE, BOB = "a" * 32, "b" * 32


def picture_of(scope, number=1, kind=PictureKind.THUMBNAIL, crop=None):
    return PagePicture(replace(stored(number), scope=scope), kind, crop)


# -- names


def count(names):
    """Return how many names are in memory."""
    held = sum(len(own.names) for own in names._visitors.values())
    assert held == names._count, "the limit counts other names than those in memory"
    return held


def test_a_name_lasts_ten_minutes_and_is_the_same_for_five():
    clock = Clock()
    names, picture = PictureNames(clock), picture_of(visitor(1))
    first = names.name(picture)
    assert re.fullmatch("[0-9a-f]{32}", first)
    assert names.name(picture_of(visitor(1), 2)) != first
    clock.at = REUSE_SECONDS - 1
    assert names.name(picture) == first
    clock.at = REUSE_SECONDS
    second = names.name(picture)
    assert second != first, "an answer of now could not be fetched with a name that expires soon"
    clock.at = NAME_SECONDS - 1
    assert names.find(visitor(1), first) == (picture, 1)
    clock.at = NAME_SECONDS
    assert names.find(visitor(1), first) is None
    assert names.find(visitor(1), second).picture == picture
    clock.at = NAME_SECONDS * 3
    names.name(picture_of(visitor(2)))
    assert count(names) == 1, "names that expired are forgotten, those of other visitors too"


def test_a_name_is_its_visitor_s_alone_and_forgotten_at_once():
    names = PictureNames(Clock())
    hers, his = names.name(picture_of(visitor(1))), names.name(picture_of(visitor(2)))
    assert names.find(visitor(2), hers) is None
    assert names.find(visitor(1), his) is None
    names.delete(visitor(1))
    assert names.find(visitor(1), hers) is None
    assert names.find(visitor(2), his) is not None
    assert count(names) == 1


def test_names_are_bounded_for_each_visitor_and_together(monkeypatch):
    monkeypatch.setattr(picture_addresses, "MAX_NAMES_PER_VISITOR", 3)
    monkeypatch.setattr(picture_addresses, "MAX_NAMES", 5)
    names = PictureNames(Clock())
    of_one = [names.name(picture_of(visitor(1), number)) for number in range(1, 5)]
    assert [names.find(visitor(1), name) is not None for name in of_one] == [False, True, True, True]
    of_two = [names.name(picture_of(visitor(2), number)) for number in range(1, 4)]
    assert all(names.find(visitor(2), name) for name in of_two), "the idle visitor's are forgotten first"
    assert count(names) == 5


# -- crops


@given(st.tuples(*[st.floats(-1, 2)] * 4), st.integers(-10, 3_000))
def test_what_a_crop_is_called_is_parsed_again_and_nothing_else_is_allowed(corners, width):
    try:
        crop = make_crop(Box(*corners), width)
    except ValueError:
        return
    picture = picture_of(SAMPLES, kind=PictureKind.CROP, crop=crop)
    assert parse_stem(picture.stem) == (PictureKind.CROP, crop)
    assert ALLOWED_PATHS.fullmatch(f"/{SAMPLES_FOLDER}{'0' * 16}-0001/{'0' * 16}/{picture.stem}.webp")


@pytest.mark.parametrize(
    "stem",
    ["", "crop", "crop-0-0-1-1-100", "crop-0.0000-0.0000-1.0000-1.0000-9999", "crop-0.0000-0.0000-1.0000-1.0000-1",
     "crop-0.5000-0.0000-0.5000-1.0000-100", "crop-0.9000-0.0000-0.1000-1.0000-100", "thumbnail.webp", "page ",
     "crop-1.5000-0.0000-1.9000-1.0000-100", "crop--0.1000-0.0000-1.0000-1.0000-100", "../page", "PAGE"],
)  # fmt: skip
def test_other_names_are_refused(stem):
    with pytest.raises(ValueError, match=r".*"):
        parse_stem(stem)


def as_webp(pixels):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "WEBP", lossless=True)
    return stream.getvalue()


def test_a_crop_shows_its_part_of_the_page_in_its_shape_and_width():
    page = np.full((400, 200, 3), 255, np.uint8)
    page[100:200, 100:200] = (200, 0, 0)
    with Image.open(io.BytesIO(cut_picture(as_webp(page), Crop(Box(0.5, 0.25, 1, 0.5), 300)))) as cut:
        assert cut.size == (300, 300)
        red, green, _ = np.asarray(cut).reshape(-1, 3).mean(axis=0)
    assert red > 180
    assert green < 20


def test_a_thin_crop_stays_within_the_limits():
    page = as_webp(np.full((300, 200, 3), 255, np.uint8))
    for box in (Box(0, 0, 0.0001, 1), Box(0.9999, 0.9999, 1, 1), Box(0, 0, 1, 0.0001)):
        with Image.open(io.BytesIO(cut_picture(page, Crop(box, MAX_CROP_SIDE)))) as cut:
            assert max(cut.size) <= MAX_CROP_SIDE
    with pytest.raises(LibraryError):
        cut_picture(b"RIFF nothing", Crop(Box(0, 0, 1, 1), 100))


# -- the routes


class Site:
    """The routes behind the page's middleware, over an engine with one sample and a document of ALICE."""

    def __init__(self, folder, **changes):
        self.clock = Clock()
        self.context = an_engine(folder, open_library=without_index, **changes)
        self.engine = self.context.__enter__()
        self.owner = visitor_scope(ALICE) if self.engine.settings.public else LOCAL
        for scope, name in ((SAMPLES, "tides.pdf"), (self.owner, "mine.pdf")):
            add(self.engine, scope, write_pdf(folder / name, f"{name} zanzibar"))
        self.pictures = PictureAddresses(self.engine, self.clock)
        settings = self.engine.settings
        self.app = Starlette(routes=PictureRoutes(self.pictures).routes, middleware=build_middleware(settings))

    def page(self, scope):
        return self.engine.library.pages([scope], self.engine.backbone(scope).encoder.fingerprint)[0]

    def get(self, *addresses, **headers):
        """Return the responses to requests at the same time."""

        async def fetch():
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1/") as client:
                named = {name.replace("_", "-"): value for name, value in headers.items()}
                return await asyncio.gather(*(client.get(address, headers=named) for address in addresses))

        return asyncio.run(fetch())

    def see(self, address, secret="", **headers):
        """Return the response to one request, as a visitor."""
        named = {VISITOR_HEADER.replace("-", "_"): secret} if secret else {}
        return self.get(address, **named | headers)[0]


@pytest.fixture
def open_site(tmp_path):
    opened = []

    def start(**changes):
        opened.append(Site(tmp_path, **changes))
        return opened[-1]

    yield start
    for site in opened:
        site.context.__exit__(None, None, None)


def addresses_of(site, page):
    pictures = site.pictures
    return [pictures.thumbnail(page), pictures.whole(page), pictures.crop(page, Box(0, 0, 0.5, 0.25), 200)]


def is_nothing(response):
    """Return whether a response is the one for every address without a picture."""
    said = response.json()
    return response.status_code == 404 and said == {"detail": NOTHING_HERE, "error": NOTHING_HERE}


def test_a_sample_s_pictures_are_everyone_s_and_may_be_stored_for_ever(open_site):
    site = open_site()
    page = site.page(SAMPLES)
    addresses = addresses_of(site, page)
    assert addresses == addresses_of(site, page), "an address never changes"
    found = site.get(*addresses)
    assert [response.status_code for response in found] == [200] * 3
    for response in found:
        assert response.headers["content-type"] == "image/webp"
        assert response.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert "vary" not in response.headers
    assert found[0].content == site.engine.library.thumbnail(page)
    assert found[1].content == site.engine.library.picture(page)
    assert Image.open(io.BytesIO(found[2].content)).width == 200
    for wrong in (
        addresses[0].replace(str(page.id), "0" * 16 + "-0001"),
        addresses[0].replace(picture_addresses.picture_version(page), "0" * 16),
        addresses[0].replace("thumbnail", "thumbnails"),
        addresses[2].replace("-200.", "-9000."),
        addresses[0].replace("samples", "local"),
        addresses[0].replace("samples/", "samples/../"),
        "pictures/samples/%2e%2e/%2e%2e/tokens",
        f"pictures/own/{'0' * 32}",
        "pictures/own/..%2f..%2fetc",
        "pictures/",
    ):
        assert is_nothing(site.see(wrong)), wrong


def test_a_sample_s_picture_waits_for_no_model(open_site, monkeypatch):
    site = open_site()
    addresses = addresses_of(site, site.page(SAMPLES))

    def load(_):
        raise AssertionError("waits for a model")

    monkeypatch.setattr(site.engine, "backbone", load)
    assert [site.see(address).status_code for address in addresses] == [200] * 3


def test_own_pictures_are_served_to_their_visitor_alone_until_their_name_expires(open_site):
    site = open_site()
    page = site.page(site.owner)
    addresses = addresses_of(site, page)
    assert all(re.fullmatch(rf"{OWN_FOLDER}[0-9a-f]{{32}}", address) for address in addresses)
    for address in addresses:
        response = site.see(address, ALICE)
        assert response.status_code == 200, address
        assert response.headers["cache-control"] == "private, max-age=600"
        assert response.headers["vary"].lower() == VISITOR_HEADER
        assert response.headers["cross-origin-resource-policy"] == "same-origin"
        for secret in ("", BOB, "x", ALICE.upper()):
            refused = site.see(address, secret)
            assert is_nothing(refused)
            assert refused.headers["cache-control"] == "no-store"
    sample_like = f"{SAMPLES_FOLDER}{page.id}/{picture_addresses.picture_version(page)}/page.webp"
    assert is_nothing(site.see(sample_like, ALICE)), "a visitor's page has no plain address"
    site.clock.at = NAME_SECONDS - 5
    assert site.see(addresses[0], ALICE).headers["cache-control"] == "private, max-age=5"
    site.clock.at = NAME_SECONDS
    assert all(is_nothing(site.see(address, ALICE)) for address in addresses)


def test_a_deleted_page_is_served_no_more_though_its_name_is_known_and_its_crop_was_cut(open_site):
    site = open_site()
    page = site.page(site.owner)
    addresses = addresses_of(site, page)
    assert [site.see(address, ALICE).status_code for address in addresses] == [200] * 3
    site.engine.delete_document(site.owner, page.id.file)
    assert all(is_nothing(site.see(address, ALICE)) for address in addresses)
    site.pictures.discard_deleted_pages()
    crop = make_crop(Box(0, 0, 0.5, 0.25), 200)
    assert not site.pictures.is_quick(PagePicture(page, PictureKind.CROP, crop)), "its bytes are still in memory"


def test_deleting_everything_forgets_names_and_crops(open_site):
    site = open_site()
    page = site.page(site.owner)
    addresses = addresses_of(site, page)
    assert site.see(addresses[2], ALICE).status_code == 200
    site.pictures.delete(site.owner)
    assert all(is_nothing(site.see(address, ALICE)) for address in addresses)
    assert not site.pictures.is_quick(PagePicture(page, PictureKind.CROP, make_crop(Box(0, 0, 0.5, 0.25), 200)))


def test_a_private_page_serves_its_owner_without_a_header_and_no_other_site(open_site):
    site = open_site(public=False)
    address = site.pictures.thumbnail(site.page(LOCAL))
    assert address.startswith(OWN_FOLDER)
    assert site.see(address).status_code == 200
    assert site.see(address, sec_fetch_site="same-origin").status_code == 200
    for foreign in ({"sec_fetch_site": "cross-site"}, {"sec_fetch_site": "same-site"}, {"origin": "https://evil.test"}):
        assert site.see(address, **foreign).status_code == 403, foreign
    sample = site.pictures.thumbnail(site.page(SAMPLES))
    assert site.see(sample, sec_fetch_site="cross-site").status_code == 200


class FewPictures(RequestLimiters):
    """Limits of a page that sends eight pictures at a time."""

    def __init__(self, queue_size):
        super().__init__(queue_size)
        self.pictures = ConcurrencyLimiter(per_client=8, total=100)


def test_crops_are_limited_for_each_client_and_cut_once(open_site, monkeypatch):
    monkeypatch.setattr(gate, "RequestLimiters", FewPictures)
    site = open_site()
    page, cuts = site.page(SAMPLES), []
    monkeypatch.setattr(picture_addresses, "cut_picture", lambda *given: cuts.append(given) or b"webp")
    many = [site.pictures.crop(page, Box(0, 0, 0.5, 0.25), 100 + number) for number in range(20)]
    answers = site.get(*many)
    statuses = [response.status_code for response in answers]
    assert set(statuses) == {200, 429}
    assert statuses.count(429) == 20 - 8
    refused = next(response for response in answers if response.status_code == 429)
    assert "try again" in refused.json()["detail"]
    again = [address for address, status in zip(many, statuses, strict=True) if status == 200]
    before = len(cuts)
    assert {response.status_code for response in site.get(*again)} == {200}
    assert len(cuts) == before
