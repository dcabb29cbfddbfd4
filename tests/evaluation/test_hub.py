"""Sets of the hub, by the real clients of a hub on this machine: what is fetched, read, refused and never run."""

import json
import os
import subprocess
import sys

import huggingface_hub
import pytest
from huggingface_hub import errors

from smart_demo.errors import InputRefused
from smart_demo.evaluation.collections import read_dataset
from smart_demo.evaluation.query_sets import CollectionOptions
from tests.evaluation.cases import JUDGED, card, colour, picture, write_beir, write_rows
from tests.hub_server import COMMIT, serve_hub

pytestmark = pytest.mark.timeout(240)  # processes of their own import the clients of the hub
READ = """
import json, sys
from smart_demo.errors import InputRefused
from smart_demo.evaluation.collections import read_dataset
from smart_demo.evaluation.query_sets import CollectionOptions
from tests.evaluation.cases import judged
for source, options in json.load(sys.stdin):
    try:
        found = read_dataset(source, CollectionOptions(**options))
    except InputRefused as refusal:
        print(json.dumps(refusal.sentence))
    else:
        print(json.dumps({"name": found.name, "judged": judged(found)}))
"""


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """Yield a function that reads sets in a process of its own, and the paths of its requests so far."""
    root = tmp_path_factory.mktemp("hub")
    beir = write_beir(root / "beir", suffix=".parquet")
    (beir / "qrels").rename(root / "beir-qrels")  # BEIR's judgements are a dataset of their own
    (beir / "corpus.parquet").rename(beir / "any-name.parquet")
    (beir / "README.md").write_text(card(corpus=[("corpus", "any-*")], queries=[("queries", "queries.parquet")]))
    mteb = write_beir(write_beir(root / "mteb", suffix=".jsonl.gz"), suffix=".jsonl.gz", split="train")
    parts = {part: [(part, f"{part}.jsonl.gz")] for part in ("corpus", "queries")}
    (mteb / "README.md").write_text(card(default=[(s, f"qrels/{s}.tsv") for s in ("train", "test")], **parts))
    (mteb / "helper.py").write_text("raise SystemExit('it ran')")
    page = {"query": "what is red", "image": picture(colour(200)), "image_filename": "1.png"}
    write_rows(root / "pages" / "data" / "test-00000-of-00001.parquet", [page])
    write_rows(root / "pages" / "data" / "train-00000-of-00001.parquet", [page])
    (write_beir(root / "script") / "script.py").write_text(f"open({str(root / 'proof')!r}, 'w').write('it ran')")
    write_rows(root / "bare" / "test.json", [page | {"image": None}])
    (root / "odd").mkdir()
    (root / "odd" / "README.md").write_text("---\nconfigs: 7\n---\n")
    sets = {f"o/{folder.name}": folder for folder in root.iterdir()}
    with serve_hub(sets) as (address, requests):
        kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
        env = kept | {"HF_ENDPOINT": address, "HF_HOME": str(root / "cache"), "HF_HUB_DISABLE_XET": "1"}

        def read(*asked, **more):
            given = json.dumps([(source, options) for source, options in asked])
            ran = subprocess.run(
                [sys.executable, "-c", READ], input=given, env=env | more, capture_output=True, text=True
            )
            assert ran.returncode == 0, ran.stderr
            return [json.loads(line) for line in ran.stdout.splitlines()]

        yield read, requests
        assert not (root / "proof").exists()  # no code of a set ever ran


def test_sets_of_every_layout_are_read_and_read_again_without_the_hub(hub):
    read, requests = hub
    asked = [("o/beir", {}), ("o/mteb", {}), ("o/mteb", {"revision": COMMIT, "split": "train"}), ("o/pages", {})]
    beir, mteb, train, pages = answers = read(*asked)
    assert beir == {"name": f"o/beir@{COMMIT[:12]}", "judged": JUDGED}
    assert mteb == {"name": f"o/mteb@{COMMIT[:12]}", "judged": JUDGED}
    assert train == {"name": f"o/mteb@{COMMIT[:12]} (train)", "judged": JUDGED}
    assert pages["judged"] == {"q1": {"1.png": 1}}
    fetched = {path for path in requests if "/resolve/" in path}
    assert not any(path.endswith(("data/train-00000-of-00001.parquet", "helper.py")) for path in fetched)
    before = len(requests)
    assert read(*asked[1:], HF_HUB_OFFLINE="1") == answers[1:]
    assert len(requests) == before


REFUSED = [
    ("o/none", {}, "The hub has no dataset o/none."),
    ("o/mteb", {"revision": "v9"}, "o/mteb has no revision v9."),
    ("o/mteb", {"split": "dev"}, "The card of o/mteb names no split dev of its qrels. It names train, test:"),
    ("o/pages", {"split": "dev"}, "The card of o/pages names no split dev. It names train, test:"),
    ("o/script", {}, "o/script could not be fetched: Dataset scripts are no longer supported"),
    ("o/bare", {}, "o/bare holds 'test.json', which is no table that can be read."),
    ("o/odd", {}, "o/odd could not be fetched"),
]


def test_a_set_that_cannot_be_used_is_one_sentence(hub):
    read, _ = hub
    for answered, (source, _, said) in zip(read(*((name, own) for name, own, _ in REFUSED)), REFUSED, strict=True):
        assert answered.startswith(said), source
        assert "\n" not in answered


def answer(kind):
    error = kind.__new__(kind)
    Exception.__init__(error, "404 Client Error")
    return error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (errors.LocalEntryNotFoundError("no"), "the hub cannot be reached"),
        (errors.OfflineModeIsEnabled("no"), "the hub cannot be reached"),
        (answer(errors.HfHubHTTPError), "the hub cannot be reached"),
        (errors.HfHubHTTPError.__bases__[0]("proxy"), "the hub cannot be reached"),
        (answer(errors.GatedRepoError), "requires its licence"),
        (OSError(28, "No space left on device"), "could not be fetched: [Errno 28] No space left"),
    ],
)
def test_errors_of_the_hub_become_one_sentence(monkeypatch, error, said):
    def download(*_, **__):
        raise error

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    with pytest.raises(InputRefused) as caught:
        read_dataset("a/b", CollectionOptions())
    assert said in caught.value.sentence
    assert caught.value.hint


def test_without_the_package_a_sentence_names_it_and_the_command(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "datasets", None)
    (tmp_path / "test.parquet").write_bytes(b"PAR1")
    for source, what in ((str(tmp_path), "test.parquet is a Parquet table"), ("a/b", "a/b is a dataset on the hub")):
        with pytest.raises(InputRefused) as caught:
            read_dataset(source, CollectionOptions())
        needed = f"{what}, which needs the package datasets. Run: python -m pip install datasets"
        assert caught.value.sentence == needed
    assert read_dataset(str(write_beir(tmp_path / "texts")), CollectionOptions())
