"""A dataset's files from the hub: tables and pictures, never code. Where the hub cannot be reached, one sentence."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from smart_demo.errors import InputRefused

NAME = re.compile(r"\w[\w.-]*/\w[\w.-]*", re.ASCII)
TABLES = (".parquet", ".jsonl", ".jsonl.gz", ".csv", ".tsv")
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".gif", ".bmp")
ETAG_SECONDS = 5
Download = Callable[[str, str | None, Sequence[str]], Path]
"""(owner/name, revision, patterns of files) -> the folder that holds them. Raises what huggingface_hub raises."""


class NotThere(InputRefused):
    """The hub knows no such dataset."""


def is_name(source: str) -> bool:
    """Whether something could be a dataset's name on the hub.

    >>> is_name("vidore/docvqa_test_subsampled"), is_name("../docvqa"), is_name("docvqa")
    (True, False, False)
    """
    return bool(NAME.fullmatch(source))


def patterns(split: str) -> list[str]:
    """Files worth fetching for a split, as shell patterns in which `*` matches folders too."""
    starts = ["corpus", "queries", "qrels", f"data/{split}", split, f"default/{split}/"]
    return [
        *(f"{start}*{suffix}" for start in starts for suffix in TABLES),
        *(f"corpus/*{suffix}" for suffix in PICTURES),
    ]


def snapshot(name: str, revision: str | None, files: Sequence[str]) -> Path:
    """The hub's own client, which keeps what it fetched in its cache."""
    from huggingface_hub import snapshot_download

    return Path(
        snapshot_download(
            name, repo_type="dataset", revision=revision, allow_patterns=list(files), etag_timeout=ETAG_SECONDS
        )
    )


def fetch(name: str, revision: str, split: str, download: Download = snapshot) -> Path:
    """The folder with a dataset's files, from the hub's cache on this disk or from the hub.

    InputRefused in words for a hub that cannot be reached, a dataset or revision that is not there or asks for a
    licence, and a download that breaks off.
    """
    from huggingface_hub import errors

    # Behind a proxy that is down the client lets its transport's own error through, the base of all of the hub's.
    bases = set(errors.HfHubHTTPError.__bases__) - {OSError}
    unreachable: tuple[type[BaseException], ...] = (
        errors.LocalEntryNotFoundError,
        errors.OfflineModeIsEnabled,
        *(base for base in bases if issubclass(base, Exception)),
    )
    try:
        return download(name, revision or None, patterns(split))
    except errors.GatedRepoError:
        raise InputRefused(f"{name} asks for its licence to be accepted.", "Log in with: hf auth login") from None
    except errors.RepositoryNotFoundError:
        raise NotThere(f"The hub knows no dataset {name}.", "Check its name.") from None
    except errors.RevisionNotFoundError:
        raise InputRefused(f"{name} has no revision {revision}.", "Leave --revision out for the newest.") from None
    except unreachable:
        raise _unreachable(name) from None
    except (OSError, ValueError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise InputRefused(f"{name} could not be fetched: {reason}", "Try again.") from None


def _unreachable(name: str) -> InputRefused:
    return InputRefused(
        f"{name} is not on this disk and the hub cannot be reached.",
        f"On a machine that reaches it: hf download {name} --repo-type dataset --local-dir DIR. "
        "Then give that folder as --dataset.",
    )
