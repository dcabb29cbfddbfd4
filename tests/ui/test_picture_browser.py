"""Asking with pictures as a visitor does it, and as someone with curl tries to: the real app, a real browser."""

import base64
import json
import re
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Locator, expect

from tests.apps import PATIENCE, App, served_app
from tests.documents import write_pdf, write_picture
from tests.ui.browser_page import Visit

pytestmark = pytest.mark.browser
COFFEE = "To descale the coffee machine,\nfill the tank with vinegar\nand run it twice."
HARBOUR = "Ships may not anchor here.\nThe restricted area ends\nat the old pier."
QUESTION = ["", "Samples", 5, 1, 1, "mean", "all"]
HOSTILE = '"><img src=x onerror=alert(1)>${alert(2)}`.pdf'


def open_app(folder):
    samples = folder / "samples"
    samples.mkdir()
    write_pdf(samples / "kitchen.pdf", COFFEE, "Bread rises in a warm place.\nKnead the dough.", size=(300, 300))
    write_pdf(samples / "harbour.pdf", HARBOUR, "Tide tables for June.\nHigh water at noon.", size=(300, 300))
    write_pdf(samples / "plain.pdf", "Foxes live in dens.", size=(300, 300)).rename(samples / HOSTILE)
    return served_app("minilm", samples, folder / "data")


def tag_of(visit: Visit) -> Locator:
    return visit.page.get_by_role("group", name="Asked with")


def answered_anew(visit: Visit, before: str) -> None:
    expect(visit.page.locator(f'.answer:not([data-query="{before}"])')).to_be_visible(timeout=PATIENCE)


def question(visit: Visit) -> str:
    return visit.page.locator(".answer").get_attribute("data-query") or ""


def fits(visit: Visit) -> bool:
    return bool(visit.page.evaluate("document.scrollingElement.scrollWidth <= innerWidth"))


def test_a_picture_is_asked_with_until_it_is_taken_away(app, browser, tmp_path):
    visit = Visit(browser, app)
    page = visit.open()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    box, tag, meta = page.get_by_role("textbox", name="Search"), tag_of(visit), page.locator(".verdict .meta")
    chooser, before = page.locator("#ask input[type=file]"), question(visit)
    broken = tmp_path / "notes.txt"
    broken.write_text("no picture")
    chooser.set_input_files(broken)
    expect(page.get_by_text("notes.txt is not a picture.")).to_be_visible(timeout=PATIENCE)
    assert question(visit) == before

    picture = write_picture(tmp_path / "q.png", "descale the\ncoffee machine")
    chooser.set_input_files(picture)
    answered_anew(visit, before)
    expect(visit.cards("SMART").first).to_contain_text("kitchen.pdf")
    expect(page.locator(".notice")).to_contain_text("minilm cannot see the picture: it took the 4 words")
    expect(tag).to_contain_text("This picture")
    expect(box).to_have_value("")  # the example's words were not the visitor's
    assert [path for path in app.uploads.rglob("*") if path.is_file() and path.stat().st_size] == []
    page.get_by_role("button", name="Copy link").first.click()
    expect(page.get_by_role("button", name="An uploaded picture has no link")).to_be_visible()

    asked = question(visit)
    visit.tune()
    page.get_by_role("button", name="Late only").click()
    expect(page.locator(".column-head.of-right")).to_contain_text("1.00 × late")
    expect(meta).not_to_contain_text("encoded")
    assert question(visit) == asked
    visit.cards("Late only").first.click()
    viewer = page.get_by_role("dialog", name="Page")
    expect(viewer.get_by_role("button", name="coffee: adds")).to_be_visible(timeout=PATIENCE)
    page.keyboard.press("Escape")

    visit.search("bread")
    expect(tag).to_contain_text("This picture")
    expect(page.locator(".notice")).to_contain_text("4 words")
    page.get_by_role("button", name="Copy link").first.click()
    expect(page.get_by_role("button", name="Link copied, without the picture")).to_be_visible()
    shown = parse_qs(urlsplit(page.evaluate("navigator.clipboard.readText()")).query)
    assert shown["q"] == ["bread"]
    assert "like" not in shown
    tag.get_by_role("button", name="Ask without the picture").click()
    expect(tag).to_have_count(0, timeout=PATIENCE)
    expect(page.locator(".notice")).to_have_count(0)
    expect(box).to_be_focused()

    page.locator("#ask").evaluate(
        """(row, data) => {
            const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0)), carried = new DataTransfer();
            carried.items.add(new File([bytes], "dropped.png", { type: "image/png" }));
            row.dispatchEvent(new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: carried }));
        }""",
        base64.b64encode(picture.read_bytes()).decode(),
    )
    expect(tag).to_contain_text("This picture", timeout=PATIENCE)
    page.get_by_role("group", name="Example queries").get_by_role("button").first.click()
    expect(tag).to_have_count(0, timeout=PATIENCE)
    visit.close()


def test_a_part_of_a_page_is_drawn_asked_and_linked(app, browser):
    visit = Visit(browser, app)
    page = visit.open("/?q=restricted+area+at+the+pier&in=Samples")
    visit.cards("SMART").first.click()
    viewer = page.get_by_role("dialog", name="Page")
    image, tool = viewer.locator("img.viewer-image:not(.is-coarse)"), viewer.locator(".region-tool")
    expect(image).to_be_visible()
    viewer.get_by_role("button", name="Zoom in").click()
    expect(viewer.get_by_label("Zoom", exact=True)).to_have_text("140 %")
    tool.click()
    expect(tool).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Escape")
    expect(tool).to_have_attribute("aria-pressed", "false")
    expect(viewer).to_be_visible()
    tool.click()
    expect(viewer.get_by_role("button", name="Search this part")).to_be_hidden()

    sheet = image.bounding_box()
    assert sheet

    def point(x: float, y: float) -> None:
        page.mouse.move(sheet["x"] + x * sheet["width"], sheet["y"] + y * sheet["height"], steps=3)

    def drag(start: tuple[float, float], end: tuple[float, float]) -> None:
        point(*start)
        page.mouse.down()
        point(*end)
        page.mouse.up()

    drag((0.3, 0.4), (0.5, 0.5))
    drag((0.5, 0.5), (0.95, 0.42))  # by its corner
    drag((0.6, 0.41), (0.4, 0.28))  # by its middle, up to the lines of text
    assert image.bounding_box() == sheet  # the page stood still
    expect(viewer.get_by_label("Zoom", exact=True)).to_have_text("140 %")
    drag((0.05, 0.15), (0.95, 0.4))  # drawn anew
    before = question(visit)
    viewer.get_by_role("button", name="Search this part").click()
    expect(viewer).to_be_hidden()
    answered_anew(visit, before)
    for column in ("Pooled only", "SMART"):
        expect(visit.cards(column).first).to_contain_text("harbour.pdf")
        expect(visit.cards(column).first).to_contain_text("page 1 of 2")
    expect(tag_of(visit)).to_contain_text("A part of page 1 of harbour.pdf")
    expect(page.get_by_role("textbox", name="Search")).to_have_value("")
    expect(page).to_have_url(re.compile("[?&]like="))
    place = parse_qs(urlsplit(page.url).query)["like"][0]
    corners = [float(corner) for corner in place.rpartition(":")[2].split(",")]
    assert corners == pytest.approx([0.05, 0.15, 0.95, 0.4], abs=0.01)

    other = Visit(browser, app)
    again = other.open(page.url.removeprefix(app.url))
    assert question(other) == question(visit)
    expect(tag_of(other)).to_contain_text("A part of page 1 of harbour.pdf")
    other.cards("SMART").first.click()
    viewer = again.get_by_role("dialog", name="Page")
    expect(viewer.get_by_role("button", name="restricted: adds")).to_be_visible(timeout=PATIENCE)
    again.keyboard.press("Escape")
    tag_of(other).get_by_role("button", name="Ask without the picture").click()
    expect(again.get_by_role("heading", name="Nothing is asked")).to_be_visible()
    expect(again).not_to_have_url(re.compile("like="))
    other.close()
    visit.close()


def test_a_phone_asks_with_a_whole_page_by_keys_alone(app, browser):
    visit = Visit(browser, app, width=390, height=844, dark=True)
    page = visit.open("/?q=foxes+live+in+dens&in=Samples")
    visit.cards("SMART").first.click()
    viewer = page.get_by_role("dialog", name="Page")
    expect(viewer.locator("img.viewer-image:not(.is-coarse)")).to_be_visible()
    viewer.locator(".region-tool").focus()
    page.keyboard.press("Enter")
    whole = viewer.get_by_role("button", name="Search the whole page")
    expect(whole).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(viewer).to_contain_text("SMART · 2 of 5")
    page.keyboard.press("ArrowLeft")
    expect(viewer).to_contain_text("SMART · 1 of 5")
    bar, before = viewer.get_by_role("group", name="Find more like this").bounding_box(), question(visit)
    assert bar
    assert bar["x"] >= 0
    assert bar["x"] + bar["width"] <= 390
    whole.press("Enter")
    answered_anew(visit, before)
    expect(tag_of(visit)).to_contain_text("Page 1 of")
    expect(tag_of(visit)).to_contain_text("img src=x")
    assert page.locator('img[src="x"]').count() == 0
    assert fits(visit)
    visit.close()


def test_only_uploads_are_opened_and_deleted_whatever_path_is_sent(app, browser, tmp_path):
    visit = Visit(browser, app)
    visit.open()
    expect(visit.cards("SMART").first).to_be_visible(timeout=PATIENCE)
    visit.close()
    secret = write_picture(tmp_path / "secret.png", "secret")
    with urllib.request.urlopen(f"{app.url}/config") as answer:
        config = json.load(answer)
    (button,) = (one["id"] for one in config["components"] if one["props"].get("elem_id") == "picture")
    (event,) = (one for one in config["dependencies"] if [button, "upload"] in map(list, one["targets"]))
    stored = next(path for path in app.folder.rglob("*.webp"))
    meta = {"_type": "gradio.FileData"}
    files: list[object] = [{"path": str(path), "meta": meta} for path in (secret, stored, "/etc/passwd")]
    files += [{"path": str(secret)}, str(secret), 7, None]
    for number, file in enumerate(files):
        said = asked_by_curl(app, event["id"], f"curl{number}", [file, *QUESTION])
        assert '"success":' in said or "detail" in said, said
        assert "data-query" not in said, file
        assert "base64" not in said, file
    assert secret.exists()
    assert stored.exists()
    sent = uploaded_by_curl(app, write_picture(tmp_path / "q.png", "descale the\ncoffee machine"))
    assert "data-query" in asked_by_curl(app, event["id"], "good", [{"path": sent, "meta": meta}, *QUESTION])
    assert "data-query" not in asked_by_curl(app, event["id"], "gone", [{"path": sent, "meta": meta}, *QUESTION])


def uploaded_by_curl(app: App, path: Path) -> str:
    """Upload a file and return its path on the server."""
    body = f'--x\r\nContent-Disposition: form-data; name="files"; filename="{path.name}"\r\n\r\n'.encode()
    body += path.read_bytes() + b"\r\n--x--\r\n"
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    with urllib.request.urlopen(urllib.request.Request(f"{app.url}/gradio_api/upload", body, kind)) as answer:
        (sent,) = json.load(answer)
    return str(sent)


def asked_by_curl(app: App, event: int, session: str, data: list[object]) -> str:
    """Return all that an event answers to a request by curl."""
    body = json.dumps({"data": data, "fn_index": event, "session_hash": session}).encode()
    request = urllib.request.Request(
        f"{app.url}/gradio_api/queue/join", body, {"Content-Type": "application/json"}, method="POST"
    )
    try:
        urllib.request.urlopen(request).close()
    except urllib.error.HTTPError as refused:
        return refused.read().decode()
    with urllib.request.urlopen(f"{app.url}/gradio_api/queue/data?session_hash={session}", timeout=60) as stream:
        said = []
        for line in stream:
            said.append(line.decode())
            if "process_completed" in said[-1] or "close_stream" in said[-1]:
                break
    return "".join(said)
