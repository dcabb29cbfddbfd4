"""Collections on the hub: the files of their parts and splits, fetched into the hub's cache.

The package `datasets`, which is optional, finds out which files a set's card names for each part. Only those are
fetched, tables and images at one commit. No code of a set ever runs: the package has no support for it, and a set with
a loading script is refused. What was fetched before is read without the hub.

    vidore/docvqa_test_subsampled        one table of pages and queries
    vidore/docvqa_test_subsampled_beir   configurations corpus, queries and qrels, as in the third edition
    mteb/scifact                         configurations corpus and queries; the judgements are the default one
    BeIR/scifact                         configurations corpus and queries; the judgements are BeIR/scifact-qrels
"""

from __future__ import annotations

import glob
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from smart_demo.errors import InputRefused
from smart_demo.evaluation.query_sets import CollectionOptions
from smart_demo.evaluation.tables import SUFFIXES, FolderLayout, Table, Tables, find_layout, import_datasets

DATASET_NAME = re.compile(r"\w[\w.-]*/\w[\w.-]*", re.ASCII)
ETAG_TIMEOUT_SECONDS = 5
CARD_FILE = "README.md"
"""The card of a set. It is fetched first, because its folder is named by the commit."""
TO_A_FOLDER = "hf download {name} --repo-type dataset --local-dir DIR. Then give that folder as --dataset."


class DatasetNotFound(InputRefused):
    """The hub has no such dataset."""


def is_dataset_name(source: str) -> bool:
    """Return whether `source` could be a dataset's name on the hub.

    >>> is_dataset_name("vidore/docvqa_test_subsampled"), is_dataset_name("../docvqa"), is_dataset_name("docvqa")
    (True, False, False)
    """
    return bool(DATASET_NAME.fullmatch(source))


def fetch_hub_set(name: str, options: CollectionOptions) -> tuple[FolderLayout, str]:
    """Return the tables of a split and the set's name with its commit, fetched if they are not in the hub's cache.

    Raises InputRefused if `datasets` is not installed, the hub cannot be reached, the set, revision, split or a part
    does not exist or needs its licence accepted, the set has a loading script, or the download fails.
    """
    datasets = import_datasets(f"{name} is a dataset on the hub")
    with _hub_errors(name, options.revision):
        folder = _download(name, options.revision or None, [CARD_FILE])
        try:
            # A cache of its own: without the hub the package would answer from rows that it has cached, not with files.
            with TemporaryDirectory(prefix="smart-demo-eval-") as cache:
                configs = datasets.get_dataset_config_names(name, revision=folder.name, cache_dir=cache)
                files = _list_files(
                    lambda part: datasets.load_dataset_builder(name, part, revision=folder.name, cache_dir=cache),
                    configs,
                    f"The card of {name}",
                    options.split,
                )
        except ConnectionError:
            apart = any(folder.glob("corpus*")) and not any(folder.glob("qrels*"))
            layout = find_layout(folder, options.split, _fetch_qrels(name, options) if apart else ())
        else:
            _download(name, folder.name, [glob.escape(file) for part in files.values() for file in part])
            tables = {part: _make_tables(folder, name, paths) for part, paths in files.items()}
            if "corpus" in tables and "qrels" not in tables:
                tables["qrels"] = _fetch_qrels(name, options)
            layout = FolderLayout(folder, folder, **tables)
    # Files in the hub's cache are links to blobs two folders up.
    return replace(layout, link_root=folder.parent.parent), f"{name}@{folder.name[:12]}"


def _download(name: str, revision: str | None, files: Sequence[str]) -> Path:
    """Return the folder of a commit in the hub's cache, with those files; without the hub, as it was fetched before."""
    from huggingface_hub import snapshot_download

    return Path(
        snapshot_download(
            name, repo_type="dataset", revision=revision, allow_patterns=list(files), etag_timeout=ETAG_TIMEOUT_SECONDS
        )
    )


def _list_files(
    find: Callable[[str | None], Any], configs: Sequence[str], card: str, split: str
) -> dict[str, list[str]]:
    """Return the files of a split by part, or of its `rows` if the set has no parts.

    find: maps a configuration, or None for the default, to its builder. card: the words that name the set's card.
    """
    parts: Mapping[str, str | None] = {"rows": None}
    if {"corpus", "queries"} <= set(configs):
        own = [config for config in ("qrels", "default") if config in configs]
        parts = {"corpus": "corpus", "queries": "queries"} | ({"qrels": own[0]} if own else {})
    found = {}
    for part, config in parts.items():
        splits = find(config).config.data_files or {}
        # A corpus and its queries often have one split for all judgements, named like the part or by habit train.
        names = [split] if part in ("rows", "qrels") else [split, part, *(splits if len(splits) == 1 else ())]
        chosen = next((splits[known] for known in names if known in splits), None)
        if chosen is None:
            raise InputRefused(
                f"{card} names no split {split}{'' if part == 'rows' else f' of its {part}'}.",
                f"It names {', '.join(map(str, splits))}: choose by --split.",
            )
        found[part] = [re.sub(r"^hf://datasets/[^@]+@[0-9a-f]+/", "", str(file)) for file in chosen]
    return found


def _make_tables(folder: Path, name: str, files: Sequence[str]) -> Tables:
    """Return the tables among the files of a part; the others are their images."""
    tables = tuple(Table(folder / file, file) for file in files if file.endswith(SUFFIXES))
    if not tables:
        readable = " or ".join(SUFFIXES)
        raise InputRefused(f"{name} holds {files[0]!r}, which is no table that can be read.", f"It takes {readable}.")
    return tables


def _fetch_qrels(name: str, options: CollectionOptions) -> Tables:
    """Return the judgements of a set that has none itself.

    BEIR publishes those of `BeIR/x` as the dataset `BeIR/x-qrels` (beir/datasets/data_loader_hf.py).
    """
    try:
        return fetch_hub_set(f"{name}-qrels", replace(options, revision=""))[0].rows
    except DatasetNotFound:
        raise InputRefused(f"{name} has no judgements, and the hub has no dataset {name}-qrels.") from None


@contextmanager
def _hub_errors(name: str, revision: str) -> Iterator[None]:
    """Raise what the hub's client and `datasets` raise as InputRefused."""
    from huggingface_hub import errors

    # If a proxy is down the client raises its transport's own error, the base class of the hub's errors.
    bases = set(errors.HfHubHTTPError.__bases__) - {OSError}
    unreachable: tuple[type[BaseException], ...] = (
        errors.LocalEntryNotFoundError,
        errors.OfflineModeIsEnabled,
        *(base for base in bases if issubclass(base, Exception)),
    )
    try:
        yield
    except InputRefused:
        raise
    except errors.GatedRepoError:
        raise InputRefused(f"{name} requires its licence to be accepted.", "Log in with: hf auth login") from None
    except errors.RepositoryNotFoundError:
        raise DatasetNotFound(f"The hub has no dataset {name}.", "Check its name.") from None
    except errors.RevisionNotFoundError:
        raise InputRefused(f"{name} has no revision {revision}.", "Leave --revision out for the newest.") from None
    except unreachable:
        raise InputRefused(
            f"{name} is not on this disk and the hub cannot be reached.",
            f"On a machine that reaches it: {TO_A_FOLDER.format(name=name)}",
        ) from None
    except Exception as error:  # noqa: BLE001 - a card may say anything, and any error may come of it
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        reason = "".join(filter(str.isprintable, reason))  # it may quote the card
        raise InputRefused(f"{name} could not be fetched: {reason}", f"Try: {TO_A_FOLDER.format(name=name)}") from None
