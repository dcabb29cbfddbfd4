"""`fetch`: what it says before it starts, what it fetches from a hub on this machine, and what it never keeps."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from huggingface_hub import HfApi, constants, snapshot_download
from huggingface_hub.hf_api import RepoSibling

from smart_demo import cli
from smart_demo.backbones import hub_download
from smart_demo.backbones.checkpoint_files import (
    HUB_IDS,
    PINNED_REVISIONS,
    fetch_checkpoint,
    find_checkpoint,
    is_on_disk,
)
from smart_demo.errors import BackboneUnavailable
from tests.hub_server import COMMIT, run_hub

ROOT = Path(__file__).resolve().parents[2]
NAME = "neomme-260m"
SOURCE = HUB_IDS[NAME]
PIN = PINNED_REVISIONS[SOURCE]
WEIGHTS = "model.safetensors"
FETCHED = {
    "chat_template.json", "config.json", "generation_config.json", "model.safetensors", "preprocessor_config.json",
    "tokenizer.json", "tokenizer_config.json",
}  # fmt: skip


@pytest.fixture(scope="module")
def model(tiny_qwen, tmp_path_factory):
    """Return a folder with the files of a published model: `fetch` does not look at the family."""
    folder = Path(shutil.copytree(tiny_qwen, tmp_path_factory.mktemp("published") / "model"))
    for name in ("README.md", "pytorch_model.bin", "own.py", ".gitattributes"):
        (folder / name).write_text("not for us")
    return folder


@pytest.fixture
def hub(model, tmp_path, monkeypatch):
    """Yield a hub with the model at the pinned commit; this process downloads from it into an empty cache."""
    with run_hub({SOURCE: model}, PIN) as running:
        monkeypatch.setattr(constants, "ENDPOINT", running.address)
        template = f"{running.address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(hub_download, "RETRY_SECONDS", 0)
        yield running


@pytest.fixture
def fetch(capsys):
    """Return a function that runs the command `fetch`."""
    before = signal.getsignal(signal.SIGTERM)

    def run(name=NAME, **settings):
        status = cli.main(["fetch", name], settings)
        written = capsys.readouterr()
        return SimpleNamespace(returncode=status, stdout=written.out, stderr=written.err)

    yield run
    signal.signal(signal.SIGTERM, before)


def cached():
    """Return the folder of the model in the cache."""
    return Path(constants.HF_HUB_CACHE, f"models--{SOURCE.replace('/', '--')}")


def is_equal_to(model):
    found = find_checkpoint(SOURCE, PIN)
    return found is not None and all(
        (found.folder / name).read_bytes() == (model / name).read_bytes() for name in FETCHED
    )


def test_the_size_comes_first_then_the_files_then_the_command_that_runs_it(hub, fetch, model, monkeypatch):
    first = fetch()
    assert first.returncode == 0, first.stderr
    size = sum((model / name).stat().st_size for name in FETCHED)
    (said,) = first.stderr.splitlines()  # nothing is redrawn in a pipe
    assert said.startswith(
        f"{SOURCE} at commit {PIN[:12]}: 7 files, {size / 1000:.0f} kB; {size / 1000:.0f} kB to fetch"
    )
    assert "MB free in" in said
    assert f"SMART_BACKBONE={NAME} python app.py" in first.stdout
    assert {name for name, _ in hub.sent} == FETCHED  # no code, no pickle
    assert {path.name for path in (cached() / "snapshots" / PIN).iterdir()} == FETCHED
    assert is_equal_to(model)
    assert is_on_disk(NAME)
    assert not list(cached().rglob("*.incomplete"))
    allowed = list(hub_download.DOWNLOAD_PATTERNS)
    assert snapshot_download(SOURCE, revision=PIN, allow_patterns=allowed, local_files_only=True)

    hub.sent.clear()
    second = fetch()
    assert (second.returncode, hub.sent) == (0, [])
    assert "nothing to fetch" in second.stderr
    assert "already on this disk and matches the hub's checksums" in second.stdout

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    third = fetch()
    assert third.returncode == 0
    assert "The hub cannot be reached" in third.stderr
    assert "is on this disk. Its checksums were not compared" in third.stdout


def test_a_backbone_that_is_loaded_is_fetched_the_same_way(hub, model):
    found = fetch_checkpoint(SOURCE, PIN)
    assert (found.name, found.revision) == (SOURCE, PIN)
    assert is_equal_to(model)


def test_files_that_the_hub_s_own_client_fetched_are_not_fetched_again(hub, fetch, model):
    snapshot_download(SOURCE, revision=PIN, allow_patterns=list(hub_download.DOWNLOAD_PATTERNS))
    hub.sent.clear()
    assert fetch().returncode == 0
    assert hub.sent == []
    assert is_equal_to(model)


def test_the_newest_commit_is_found_again_without_the_hub(hub, fetch, monkeypatch):
    hub.commit = COMMIT
    assert fetch(SMART_REVISION="newest").returncode == 0
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert find_checkpoint(SOURCE).revision == COMMIT
    assert not is_on_disk(NAME)  # that is another commit than the pinned one


def test_a_disk_that_is_too_full_is_refused_before_a_byte_is_fetched(hub, fetch, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=200_000_000))
    refused = fetch()
    assert (refused.returncode, hub.sent) == (1, [])
    assert "200 MB free" in refused.stderr.splitlines()[0]
    assert "HF_HOME" in refused.stderr.splitlines()[-1]


@pytest.mark.parametrize("knows_ranges", [True, False])
def test_a_connection_that_ends_early_is_continued(hub, fetch, model, knows_ranges):
    hub.cuts, hub.knows_ranges = {WEIGHTS: [150_000, 50_000], "tokenizer.json": [0]}, knows_ranges
    assert fetch().returncode == 0
    starts = [start for name, start in hub.sent if name == WEIGHTS]
    assert starts == ([0, 150_000, 200_000] if knows_ranges else [0, 0, 0])
    assert is_equal_to(model)


def test_what_was_fetched_before_the_hub_went_away_is_not_fetched_again(hub, fetch, model):
    hub.cuts = {WEIGHTS: [150_000, *[0] * hub_download.MAX_RETRIES]}
    lost = fetch()
    assert lost.returncode == 1
    assert "it continues from what was fetched" in lost.stderr
    assert not is_on_disk(NAME)
    hub.sent.clear()
    again = fetch()
    assert again.returncode == 0
    assert hub.sent == [(WEIGHTS, 150_000)]
    left = (model / WEIGHTS).stat().st_size - 150_000
    assert f"{left / 1000:.0f} kB to fetch" in again.stderr
    assert is_equal_to(model)


def test_a_killed_download_is_continued(hub, fetch, model):
    """By the command as a user starts it, with the hub named by HF_ENDPOINT."""
    hub.cuts, released = {WEIGHTS: [150_000]}, threading.Event()
    reached = threading.Event()
    hub.after_cut = lambda: (reached.set(), released.wait(60))
    env = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "SMART_"))}
    env |= {"HF_ENDPOINT": hub.address, "HF_HUB_CACHE": constants.HF_HUB_CACHE}
    process = subprocess.Popen([sys.executable, "-m", "smart_demo", "fetch", NAME], cwd=ROOT, env=env)
    try:
        assert reached.wait(60)
        while not [part for part in cached().rglob("*.incomplete") if part.stat().st_size == 150_000]:
            assert process.poll() is None
    finally:
        process.kill()
        process.wait()
        released.set()
    assert not is_on_disk(NAME)
    hub.sent.clear()
    assert fetch().returncode == 0
    assert hub.sent == [(WEIGHTS, 150_000)]
    assert is_equal_to(model)


@pytest.mark.parametrize("name", [WEIGHTS, "config.json"])
def test_a_file_that_does_not_match_its_checksum_is_fetched_again_and_then_refused(hub, fetch, model, name):
    hub.altered[name] = 2
    refused = fetch()
    assert refused.returncode == 1
    assert f"{name} of {SOURCE} was fetched twice and does not match the checksum" in refused.stderr
    assert not (cached() / "snapshots").exists()
    hub.altered[name] = 1
    assert fetch().returncode == 0
    assert is_equal_to(model)


def test_a_file_that_was_damaged_on_this_disk_is_fetched_again(hub, fetch, model):
    fetch()
    path = cached() / "snapshots" / PIN / WEIGHTS
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert is_on_disk(NAME)  # its length is right, and no start of the page reads all of it
    hub.sent.clear()
    assert fetch().returncode == 0
    assert hub.sent == [(WEIGHTS, 0)]
    assert is_equal_to(model)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("neomme", "'neomme' is no model that can be fetched. Name qwen3-vl-2b, "),
        ("minilm", "'minilm' is no model that can be fetched."),
        ("../up", "is no model that can be fetched."),
        ("owner/other", "The hub knows no model owner/other."),
    ],
)
def test_a_name_that_cannot_be_fetched_is_one_sentence(hub, fetch, name, said):
    refused = fetch(name)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert said in refused.stderr
    assert len(refused.stderr.splitlines()) == 1


def test_a_licence_to_accept_and_an_unknown_commit_are_named(hub, fetch):
    hub.gated = True
    refused = fetch()
    assert f"{SOURCE} asks for a licence to be accepted. Accept it on {hub.address}/{SOURCE}" in refused.stderr
    assert "hf auth login" in refused.stderr
    assert "has no such commit on the hub. Check SMART_REVISION." in fetch(SMART_REVISION="f" * 40).stderr


def test_a_model_without_safetensors_is_refused_before_it_is_fetched(hub, fetch, tmp_path):
    folder = tmp_path / "pickled"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "pytorch_model.bin").write_text("x")
    hub.sets = {SOURCE: folder}
    assert "has no complete safetensors weights" in fetch().stderr
    assert hub.sent == []


@pytest.mark.parametrize(
    ("path", "digest"), [("../../x.json", "a" * 40), ("/etc/x.json", "a" * 40), ("x.json", "../../../x")]
)
def test_a_listing_cannot_name_a_file_outside_the_cache(hub, fetch, monkeypatch, path, digest):
    listed = SimpleNamespace(sha=PIN, siblings=[RepoSibling(path, size=1, blob_id=digest)])
    monkeypatch.setattr(HfApi, "model_info", lambda *_, **__: listed)
    assert "that is not accepted" in fetch().stderr
    assert hub.sent == []


def test_two_downloads_of_a_model_do_not_write_the_same_file(hub, fetch):
    (cached() / "blobs").mkdir(parents=True)
    lock = os.open(cached() / "blobs", os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    assert "Another process is fetching" in fetch().stderr
    os.close(lock)
    assert fetch().returncode == 0


def test_on_a_terminal_one_line_is_redrawn(hub, fetch, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    drawn = fetch().stderr.split("\r")
    assert drawn[-1].startswith(f"{WEIGHTS}: ")
    assert "(100%)" in drawn[-1]


def test_without_the_hub_the_refusal_says_what_to_do(hub, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(BackboneUnavailable, match="The hub cannot be reached") as refused:
        fetch_checkpoint(SOURCE, PIN)
    assert "folder" in refused.value.hint
