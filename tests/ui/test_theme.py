"""Scripts and style sheets: what is served of them and by which address, and what keeps them readable."""

import asyncio
import re
from unittest.mock import Mock

import httpx
import pytest
from starlette.applications import Starlette

from smart_demo.config import Settings
from smart_demo.ui import theme

FILES = sorted(path for path in theme.STATIC_DIR.iterdir() if path.suffix in {".js", ".css"})
STYLES = [path.read_text(encoding="utf-8") for path in FILES if path.suffix == ".css"]


@pytest.fixture
def client():
    """Return a client of the routes behind the page's middleware, as a proxy's path would reach them."""
    app = Starlette(routes=theme.build_routes(Mock()), middleware=theme.build_middleware(Settings()))
    transport = httpx.ASGITransport(app=app, root_path="/below")
    return httpx.AsyncClient(transport=transport, base_url="http://localhost:7860/below/")


def get(client, path):
    return asyncio.run(client.get(path))


def test_every_module_has_an_address_that_changes_with_it(client):
    addresses = re.findall(r'<link rel="modulepreload" href="([^"]+)">', theme.build_head())
    assert {address.rpartition("/")[2] for address in addresses} == set(theme.MODULES)
    for address in addresses:
        answer = get(client, address)
        assert answer.status_code == 200
        assert answer.content == theme.MODULES[address.rpartition("/")[2]]
        assert answer.headers["content-type"].startswith("text/javascript")
        assert "immutable" in answer.headers["cache-control"]
        assert re.search("/page-[0-9a-f]{16}/", address)


@pytest.mark.parametrize(
    "name", ["head.js", "page.css", "", "..", "../theme.py", "%2e%2e/theme.py", "%2e%2e%2ftheme.py"]
)
def test_no_other_file_has_an_address(client, name):
    assert get(client, theme.SCRIPT_FOLDER + name).status_code == 404


def test_modules_import_each_other_by_names_that_are_served():
    for name, content in theme.MODULES.items():
        imported = re.findall(r'from "([^"]+)"', content.decode())
        assert {f"./{other}" for other in theme.MODULES if other != name} >= set(imported)


def test_the_head_s_script_has_no_end_tag_inside():
    assert theme.build_head().count("</script") == 1


def test_colours_are_defined_once_for_page_print_and_saved_file():
    assert theme.LIGHT.keys() == theme.DARK.keys() == theme.PRINT.keys()
    defined = {name for text in STYLES for name in re.findall(r"--([\w-]+):", text)}
    assert not defined & theme.LIGHT.keys()
    for text in (theme.build_css(), theme.build_head()):
        assert f"--smart: {theme.LIGHT['smart']};" in text


def test_scripts_and_style_sheets_stay_readable():
    assert len(FILES) <= 26  # a sheet and a script for each feature
    assert max(len(line) for text in STYLES for line in text.splitlines()) <= 140
    assert sum(text.count("!important") for text in STYLES) <= 60
    owners = [path.name for path in FILES if re.search(r"window\.fetch\s*=", path.read_text(encoding="utf-8"))]
    assert owners == ["head.js"]
