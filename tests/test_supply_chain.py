"""Only written or pinned code runs: no code in data, no code from elsewhere, no connections to other machines."""

import ast
import json
import os
import pickle
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from smart_demo.backbones import checkpoint_files
from smart_demo.backbones.checkpoint_files import HUB_IDS, is_on_disk
from smart_demo.backbones.qwen.model import Qwen3VL
from smart_demo.backbones.registry import choose_backbone
from smart_demo.config import Settings, read_settings
from smart_demo.diagnostics import describe_environment
from smart_demo.errors import BackboneUnavailable, SettingRefused
from tests import audit
from tests.backbones.cases import loaded

ROOT = Path(__file__).resolve().parent.parent
SOURCES = [ROOT / "app.py", *sorted((ROOT / "smart_demo").rglob("*.py")), *sorted((ROOT / "sample_docs").rglob("*.py"))]
COMMIT = "0123456789abcdef0123456789abcdef01234567"
CODE_IN_DATA = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "yaml"}
FETCHES = {"model_info", "snapshot_download", "hf_hub_download", "load_dataset_builder", "get_dataset_config_names"}
RUNS_TEXT = {"eval", "exec", "compile", "__import__"}


# -- code in data


def faults(tree):
    """Return the calls of a source that let data run as code."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] in CODE_IN_DATA)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in CODE_IN_DATA:
            yield node.module
        elif isinstance(node, ast.Call):
            yield from faults_of_call(ast.unparse(node.func), {word.arg: word.value for word in node.keywords})


def faults_of_call(name, words):
    said = {key: ast.unparse(value) for key, value in words.items() if key}
    if name in RUNS_TEXT or name in {"os.system", "os.popen"}:
        yield name
    if name == "torch.load" and said.get("weights_only") != "True":
        yield "torch.load without weights_only"
    for word in ("allow_pickle", "trust_remote_code", "shell"):
        if said.get(word, "False") != "False":
            yield f"{name}({word}={said[word]})"
    if name.endswith("Model.from_pretrained") and said.get("use_safetensors") != "True":
        yield f"{name} without use_safetensors"
    if name.endswith(".from_pretrained") and said.get("local_files_only") != "True":
        yield f"{name} may fetch"
    if name.split(".")[-1] in FETCHES and "revision" not in said:
        yield f"{name} of whatever is newest"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_source_lets_data_run(path):
    assert list(faults(ast.parse(path.read_text()))) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle", "from joblib import load", "import yaml", "eval(x)", "exec(x)", "os.system(x)",
        "torch.load(x)", "torch.load(x, weights_only=False)", "np.load(x, allow_pickle=True)", "run(x, shell=True)",
        "AutoTokenizer.from_pretrained(x, local_files_only=True, trust_remote_code=True)",
        "AutoModel.from_pretrained(x, local_files_only=True)", "AutoTokenizer.from_pretrained(x)",
        "AutoModel.from_pretrained(x, local_files_only=True, use_safetensors=flag)", "snapshot_download(x)",
        "datasets.load_dataset_builder(x)", "datasets.load_dataset(x, trust_remote_code=True)",
    ],
)  # fmt: skip
def test_the_scan_finds_it(source):
    assert list(faults(ast.parse(source)))


class Writes:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.write_text, (self.path, "it ran")


@pytest.fixture
def proof(tmp_path):
    return tmp_path / "proof"


def refusal(folder):
    with pytest.raises(BackboneUnavailable) as refused:
        Qwen3VL.load(str(folder), Settings(visual_tokens=16))
    assert "\n" not in refused.value.sentence
    return refused.value.sentence


@pytest.mark.parametrize("zipped", [False, True])
def test_pickled_weights_are_refused_and_not_opened(tiny_qwen_copy, proof, zipped):
    state = load_file(tiny_qwen_copy / "model.safetensors") | {"harm": Writes(proof)}
    (tiny_qwen_copy / "model.safetensors").unlink()
    if zipped:
        torch.save(state, tiny_qwen_copy / "pytorch_model.bin")
    else:
        (tiny_qwen_copy / "pytorch_model.bin").write_bytes(pickle.dumps(Writes(proof)))
    assert "does not hold a whole model" in refusal(tiny_qwen_copy)
    assert not is_on_disk(str(tiny_qwen_copy))
    assert not proof.exists()
    with open(tiny_qwen_copy / "pytorch_model.bin", "rb") as file:  # proves that the payload works
        torch.load(file, weights_only=False) if zipped else pickle.load(file)  # noqa: S301
    assert proof.read_text() == "it ran"


def test_a_pickle_under_the_name_of_safetensors_is_refused_and_not_opened(tiny_qwen_copy, proof):
    (tiny_qwen_copy / "model.safetensors").write_bytes(pickle.dumps(Writes(proof)))
    refusal(tiny_qwen_copy)
    assert not proof.exists()


def test_a_pickle_beside_good_weights_is_left_alone(tiny_qwen_copy, proof):
    (tiny_qwen_copy / "pytorch_model.bin").write_bytes(pickle.dumps(Writes(proof)))
    (tiny_qwen_copy / "adapter.pt").write_bytes(pickle.dumps(Writes(proof)))
    (tiny_qwen_copy / "training_args.bin").write_bytes(pickle.dumps(Writes(proof)))
    Qwen3VL.load(str(tiny_qwen_copy), Settings(visual_tokens=16))
    assert not proof.exists()


def with_code(folder, proof, file, names):
    """Make a checkpoint that names its own code and contains it."""
    code = f"import pathlib\npathlib.Path({str(proof)!r}).write_text('it ran')\n"
    code += "class Own:\n    @classmethod\n    def from_pretrained(cls, *a, **k): return cls()\n"
    (folder / "own.py").write_text(code)
    path = folder / file
    said = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(said | {"auto_map": names}))


@pytest.mark.parametrize("names", [{"AutoModel": "own.Own"}, {"AutoConfig": "own.Own", "AutoModel": "a/b--own.Own"}])
def test_a_model_with_code_is_refused_and_its_code_is_not_run(tiny_qwen_copy, proof, names):
    with_code(tiny_qwen_copy, proof, "config.json", names)
    assert "code of its own, which is never run" in refusal(tiny_qwen_copy)
    assert not proof.exists()


@pytest.mark.parametrize("file", ["tokenizer_config.json", "preprocessor_config.json", "processor_config.json"])
def test_code_of_a_tokenizer_is_not_run(tiny_qwen_copy, proof, file):
    """transformers decides whether to refuse it or to read it without that code."""
    with_code(tiny_qwen_copy, proof, file, {"AutoTokenizer": [None, "own.Own"], "AutoProcessor": "own.Own"})
    with suppress(BackboneUnavailable):
        Qwen3VL.load(str(tiny_qwen_copy), Settings(visual_tokens=16))
    assert not proof.exists()


# -- pinned


def test_every_model_downloaded_by_name_is_pinned():
    assert set(checkpoint_files.PINNED_REVISIONS) == set(HUB_IDS.values())
    for commit in checkpoint_files.PINNED_REVISIONS.values():
        assert re.fullmatch(r"[0-9a-f]{40}", commit)


@pytest.mark.parametrize(
    ("given", "asked"),
    [({}, "pinned"), ({"SMART_REVISION": "newest"}, None), ({"SMART_REVISION": COMMIT.upper()}, COMMIT)],
)
def test_the_hub_gets_the_pinned_commit(monkeypatch, tmp_path, given, asked):
    from huggingface_hub import constants

    calls = []

    def plan(source, revision):
        calls.append((source, revision))
        raise BackboneUnavailable("There is no hub in this test.")

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(checkpoint_files, "plan_download", plan)
    settings = read_settings({"SMART_DATA_DIR": str(tmp_path), **given})
    with pytest.raises(BackboneUnavailable):
        Qwen3VL.load("qwen3-vl-8b", settings)
    source = HUB_IDS["qwen3-vl-8b"]
    assert calls == [(source, checkpoint_files.PINNED_REVISIONS[source] if asked == "pinned" else asked)]


@pytest.mark.parametrize("value", ["main", "v1.0", COMMIT[:39], COMMIT + "0", "refs/pr/1", "../x", "g" * 40])
def test_a_branch_or_tag_is_no_revision(value):
    with pytest.raises(SettingRefused, match="SMART_REVISION"):
        read_settings({"SMART_REVISION": value})


def test_the_model_choice_uses_the_same_commit(monkeypatch):
    asked = []
    monkeypatch.setattr("smart_demo.backbones.registry.is_on_disk", lambda *given: asked.append(given) or True)
    assert choose_backbone(Settings(revision=COMMIT), gpu=lambda: None).name == "neomme-260m"
    assert asked == [("neomme-260m", COMMIT)]


def test_a_loaded_model_states_its_revision():
    pinned = next(iter(checkpoint_files.PINNED_REVISIONS.values()))
    assert checkpoint_files.describe_pin(pinned, "") == "the commit that this program pins"
    assert checkpoint_files.describe_pin(COMMIT, COMMIT) == "the commit that SMART_REVISION names"
    assert checkpoint_files.describe_pin(COMMIT, "").startswith("nothing:")
    assert describe_environment(loaded("tiny-qwen"), Settings()).held_to.startswith("its bytes")


def test_every_requirement_has_an_upper_bound():
    for line in (ROOT / "requirements.txt").read_text().splitlines():
        wanted = line.split("#")[0].strip()
        assert not wanted or re.search(r"==|<", wanted.split(";")[0]), line


# -- the audit


def package(name, *holes):
    return {"name": name, "version": "1", "vulns": [{"id": i, "aliases": a, "fix_versions": f} for i, a, f in holes]}


SKIPPED = {"name": "x", "skip_reason": "not found"}
HOLE, KNOWN = ("PYSEC-1", ["CVE-1"], ["2"]), ("GHSA-x", [next(iter(audit.ACCEPTED))], [])


@pytest.mark.parametrize(
    ("output", "status", "lenient", "said"),
    [
        ([package("a"), package("b")], 0, 0, "Audit of 2 packages: no known"),
        ([package("a", HOLE)], 1, 1, "PYSEC-1"),
        ([package("a", HOLE), SKIPPED, SKIPPED], 1, 1, "PYSEC-1"),
        ([package("chromadb", KNOWN)], 0, 0, "accepted: chromadb"),
        ([package("a"), package("b"), SKIPPED], 0, 0, "1 more are unknown"),
        ([SKIPPED, SKIPPED], 2, 0, "AUDIT NOT DONE"),
        ([], 2, 0, "AUDIT NOT DONE"),
    ],
    ids=["clean", "hole", "hole-and-skipped", "accepted", "one-skipped", "none-reached", "nothing"],
)
def test_an_audit_states_its_result(output, status, lenient, said):
    read = audit.read(json.dumps({"dependencies": output}), "")
    assert said in "\n".join(read.lines)
    assert (read.status(if_reachable=False), read.status(if_reachable=True)) == (status, lenient)


@pytest.mark.parametrize("output", ["", "No known vulnerabilities found", "[]", "null", "{}"])
def test_a_failed_audit_counts_as_not_done(output):
    read = audit.read(output, "trouble\nConnectionError: no such host\n")
    assert read.lines == ["AUDIT NOT DONE: known vulnerabilities were not looked up. pip-audit said: "
                          "ConnectionError: no such host"]  # fmt: skip
    assert read.status(if_reachable=False) == 2


# -- no connections

WATCHED = """
import json, socket, sys, urllib.request
from pathlib import Path
told, connect, look_up = [], socket.socket.connect, socket.getaddrinfo
near = {"127.0.0.1", "::1", "localhost", "0.0.0.0", "", None}

def watched(self, address):
    if isinstance(address, tuple) and address[0] not in near:
        told.append(str(address))
        raise OSError("no connections")
    return connect(self, address)

def looked(host, *rest, **kinds):
    if host not in near:
        told.append(str(host))
        raise socket.gaierror("no look-ups")
    return look_up(host, *rest, **kinds)

socket.socket.connect = socket.socket.connect_ex = watched
socket.getaddrinfo = looked
sys.argv = ["app.py"]
import app
list(app.engine.prepare_samples())
from smart_demo.ui.theme import launch_options
from tests.apps import free_port
_, url, _ = app.demo.queue(max_size=20).launch(
    **launch_options(app.settings, app.picture_addresses),
    prevent_thread_lock=True,
    quiet=True,
    server_port=free_port(),
)
urllib.request.urlopen(url).read()
asked = urllib.request.Request(
    url + "gradio_api/call/search", json.dumps({"data": ["tide", 1]}).encode(), {"Content-Type": "application/json"}
)
event = json.load(urllib.request.urlopen(asked))["event_id"]
answer = urllib.request.urlopen(url + "gradio_api/call/search/" + event).read().decode()
assert "complete" in answer, answer
app.demo.close(verbose=False)
print("told:", told)
"""


@pytest.mark.timeout(240)
def test_importing_serving_and_searching_opens_no_connection(tmp_path):
    from tests.documents import write_pdf

    (tmp_path / "samples").mkdir()
    write_pdf(tmp_path / "samples" / "tides.pdf", "tide table harbour")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("SMART_", "GRADIO_"))}
    env = kept | {
        "SMART_BACKBONE": "words",
        "SMART_DATA_DIR": str(tmp_path / "data"),
        "SMART_SAMPLE_DOCS": str(tmp_path / "samples"),
    }
    ran = subprocess.run([sys.executable, "-c", WATCHED], cwd=ROOT, env=env, capture_output=True, text=True)
    assert ran.stdout.splitlines()[-1:] == ["told: []"], ran.stdout + ran.stderr
