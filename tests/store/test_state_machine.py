"""The library as a state machine: after any operations, every listed page can be found and loaded.

Real files, real Chroma. The model is a dictionary, the oracle of the search a sort in numpy.
"""

import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from smart_demo.errors import TokenFileDamaged
from smart_demo.types import LOCAL, SAMPLES
from tests.store.cases import (
    ENCODER,
    POOLED,
    copy_as_after_a_kill,
    files_under,
    machine_settings,
    made,
    open_library,
    page_id,
    path_of,
    rows_in_chroma,
    token_files,
    unit,
)

QUERY = unit(np.random.default_rng(11), POOLED)
BOTH = [LOCAL, SAMPLES]
scopes = st.sampled_from(BOTH)
files = st.integers(1, 4)
numbers = st.integers(1, 2)
RESTARTS = 2
"""Restarts per run; each one starts a canary process with Chroma."""


class LibraryMachine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.library = open_library(self.folder, candidates=50)
        self.model, self.unflushed = {}, set()
        self.restarts = 0

    def teardown(self):
        self.library.close()
        shutil.rmtree(self.folder)

    @rule(scope=scopes, file=files, number=numbers, flush=st.booleans())
    def add(self, scope, file, number, flush):
        page, encoding = made(file, number)
        self.library.add(scope, page, encoding)
        if (scope, page.id) not in self.model:
            self.unflushed.add((scope, page.id))
        if flush:
            self.library.flush()
            self.unflushed.clear()
        self.model[scope, page.id] = encoding

    @rule(scope=scopes, file=files)
    def remove(self, scope, file):
        gone = [key for key in self.model if key[0] == scope and key[1].file == page_id(file).file]
        assert bool(self.library.delete_document(scope, page_id(file).file)) == bool(gone)
        for key in gone:
            del self.model[key]
        self.unflushed.difference_update(gone)

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def damage(self, data):
        """Damage the vectors or the states on disk; the next read of the page finds it."""
        page = data.draw(st.sampled_from(self.library.pages(BOTH, ENCODER)))
        path = path_of(self.folder, page)
        content = bytearray(path.read_bytes())
        content[data.draw(st.integers(0, len(content) - 1))] ^= 255
        path.unlink()  # a new file, since a mapped one must not change
        path.write_bytes(content)
        catalogue = self.library._catalogue  # as if no page had been read yet
        catalogue._verified.clear()
        catalogue._bodies.clear()
        with pytest.raises(TokenFileDamaged):
            self.library.encoding(page)
        del self.model[page.key]
        self.unflushed.discard(page.key)

    @precondition(lambda self: self.restarts < RESTARTS)
    @rule(harm=st.sampled_from(["none", "crash", "lost chroma", "torn chroma", "leftovers"]))
    def restart(self, harm):
        self.restarts += 1
        self.unflushed.clear()
        folder = self.folder
        if harm == "crash":  # without flush and close
            self.folder = copy_as_after_a_kill(folder, Path(tempfile.mkdtemp()))
        self.library.close()
        if harm == "crash":
            shutil.rmtree(folder)
        for chroma in (path for path in (self.folder / "index").glob("chroma-*") if path.is_dir()):
            if harm == "lost chroma":
                shutil.rmtree(chroma)
            for segment in (path for path in chroma.glob("*-*") if harm == "torn chroma"):
                (segment / "index_metadata.pickle").write_bytes(b"")
        for path in token_files(self.folder)[:1] if harm == "leftovers" else []:
            path.with_name("0000000000000009-0009.webp").write_bytes(b"a picture without a page")
            path.with_name(f"{path.name}.0a.tmp").write_bytes(b"half a page")
        self.library = open_library(self.folder, candidates=50)

    @invariant()
    def listed_pages_can_be_found_and_loaded(self):
        listed = {page.key: page for page in self.library.pages(BOTH, ENCODER)}
        ranked = sorted(self.model, key=lambda key: (-float(self.model[key].pooled @ QUERY), str(key)))
        found = self.library.nearest(BOTH, ENCODER, QUERY, 99)
        assert set(found) == listed.keys() == self.model.keys()
        assert len(found) == len(ranked)
        scores = [float(self.model[key].pooled @ QUERY) for key in found]
        assert scores == sorted(scores, reverse=True)  # the same file in two scopes ties
        for key, page in listed.items():
            assert np.allclose(self.library.encoding(page).tokens, self.model[key].tokens, atol=0.01)
            assert np.array_equal(self.library.encoding(page).pooled, self.model[key].pooled)

    @invariant()
    def chroma_has_exactly_the_flushed_pages(self):
        told = {f"{scope}/{page}" for scope, page in self.model.keys() - self.unflushed}
        assert rows_in_chroma(self.folder) == told
        assert self.unflushed <= self.model.keys()

    @invariant()
    def no_other_files_exist(self):
        kept = [name for name in files_under(self.folder / "data") if name.startswith("tokens/")]
        assert len(kept) == 3 * len(self.model)


TestLibraryMachine = LibraryMachine.TestCase
TestLibraryMachine.settings = machine_settings(examples=6, steps=14)
