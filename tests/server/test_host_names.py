"""By which names a page is asked: another site may point a name of its own at this machine."""

import pytest

from smart_demo.config import Settings, read_settings
from smart_demo.errors import SettingRefused
from tests.server.cases import through

OWN = ["localhost", "localhost:7860", "LOCALHOST:7860", "127.0.0.1:7860", "127.0.0.2", "[::1]:7860", "demo.localhost"]
OTHERS = ["evil.example:7860", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.5:7860",
          "[::1", "127.0.0.1@evil.example", "evil.example:7860@", "."]  # fmt: skip
ASKED = [("GET", "/"), ("GET", "/config"), ("POST", "/gradio_api/queue/join"), ("GET", "/gradio_api/queue/data"),
         ("GET", "/nowhere"), ("POST", "/gradio_api/upload")]  # fmt: skip


def asked(settings, host, method="GET", path="/config"):
    """Return status and text of a request as a page at that name sends it: to itself, as far as its browser knows."""

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"the page"})

    headers = {"host": host, "origin": f"http://{host}"}
    answer = through(settings, method, path, app, headers=headers, content=b"" if method == "GET" else b"{}")
    return answer.status_code, answer.text


@pytest.mark.parametrize("host", OTHERS)
@pytest.mark.parametrize(("method", "path"), ASKED)
def test_a_name_that_another_site_points_here_is_told_nothing(host, method, path):
    status, said = asked(read_settings({}), host, method, path)
    assert status == 403
    assert "SMART_HOSTS" in said
    assert "the page" not in said


@pytest.mark.parametrize("host", OWN)
def test_this_machine_answers_to_its_own_names(host):
    assert asked(read_settings({}), host) == (200, "the page")


def test_a_proxy_is_declared():
    settings = read_settings({"SMART_HOSTS": "Demo.Example.org, box"})
    assert settings.hosts == ("demo.example.org", "box")
    for host in ("demo.example.org", "demo.example.org:443", "box:8080", "localhost:7860"):
        assert asked(settings, host)[0] == 200
    assert asked(settings, "evil.example")[0] == 403


@pytest.mark.parametrize(
    "env",
    [
        {"SMART_HOSTS": "*"},
        {"GRADIO_SERVER_NAME": "0.0.0.0"},
        {"SMART_PUBLIC": "on"},
        {"SPACE_ID": "someone/demo"},
    ],
    ids=str,
)
def test_what_others_may_reach_is_asked_by_any_name(env):
    assert asked(read_settings(env), "demo.example.org")[0] == 200
    assert asked(Settings(), "demo.example.org")[0] == 200


@pytest.mark.parametrize("bound", ["127.0.0.1", "localhost", "::1", " "])
def test_bound_to_this_machine_by_name_is_the_same(bound):
    assert asked(read_settings({"GRADIO_SERVER_NAME": bound}), "evil.example")[0] == 403


@pytest.mark.parametrize("given", ["http://demo.example", "demo.example:80", "a/b", "<b>"])
def test_a_host_that_is_none_is_refused_by_name(given):
    with pytest.raises(SettingRefused, match="SMART_HOSTS"):
        read_settings({"SMART_HOSTS": given})
