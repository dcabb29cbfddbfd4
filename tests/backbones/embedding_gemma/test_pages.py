"""What pages and queries become: sizes, places, batches, marks typed by a visitor, long texts, and a whole search."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, Gemma4ImageProcessorPil

from smart_demo.backbones.checkpoint_files import fetch_checkpoint
from smart_demo.backbones.embedding_gemma import EmbeddingGemma, choose_budget, cut_image, load_gemma
from smart_demo.config import Settings
from smart_demo.engine import open_engine
from smart_demo.errors import PageRefused, QueryRefused, SettingRefused
from smart_demo.indexing.progress import State
from smart_demo.search.costs import compute_costs
from smart_demo.search.explain import EvidenceCrop, NoPlace, Slot, similarity_map, winner_map
from smart_demo.types import LOCAL, Query, TokenGrid, TokenKind
from tests.apps import settings_below
from tests.backbones.cases import loaded, tiny_gemma_folder
from tests.backbones.embedding_gemma.tiny_checkpoint import EXTRA_SPECIALS, SPECIALS
from tests.backbones.qwen.cases import page, picture
from tests.documents import write_pdf

PATCH, INSTRUCTION, TEMPLATE, CONTENT, TAIL = TokenKind


@pytest.fixture(scope="module")
def gemma():
    return loaded("tiny-gemma")


@pytest.mark.parametrize(("budget", "rows", "cols"), [(70, 9, 7), (280, 19, 14), (560, 28, 19), (1_120, 39, 28)])
def test_an_a4_page_has_the_published_grid(budget, rows, cols):
    made = cut_image(np.zeros((1754, 1240, 3), np.uint8), budget, Gemma4ImageProcessorPil())
    assert (made.grid.rows, made.grid.cols) == (rows, cols)
    assert made.values.shape == (9 * rows * cols, 768)


def test_the_budget_is_the_nearest_one_that_is_not_larger():
    assert [choose_budget(n, "cpu", "gemma") for n in (70, 139, 279, 280, 559, 1_119, 4_096)] == [
        *(70, 70, 140, 280, 280),
        *(560, 1_120),
    ]
    assert [choose_budget(0, device, "gemma") for device in ("cpu", "cuda", "mps")] == [280, 560, 560]
    with pytest.raises(SettingRefused, match="69") as refusal:
        choose_budget(69, "cpu", "gemma")
    assert "70, 140, 280, 560, 1,120" in refusal.value.hint


def test_the_encoder_says_what_determines_its_encodings(gemma):
    assert gemma.encoder.name.startswith("tiny-gemma")
    assert (gemma.encoder.model, gemma.encoder.visual_tokens) == ("embedding_gemma2-96x3", 70)
    assert gemma.encoder.instructions[:2] == ("task: search result | query: ", "title: none | text: ")
    assert "float32" in gemma.reason


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """A checkpoint whose tokens do not attend to each other, so that each is about its own part of the page alone."""
    folder = shutil.copytree(tiny_gemma_folder(), tmp_path_factory.mktemp("local") / "tiny")
    weights = load_file(folder / "model.safetensors")
    silent = {name: values * 0 if "self_attn.o_proj" in name else values for name, values in weights.items()}
    save_file(silent, folder / "model.safetensors", metadata={"format": "pt"})
    return EmbeddingGemma.load(str(folder), Settings(visual_tokens=70, dtype="float32"))


@pytest.mark.parametrize(("rows", "cols"), [(10, 6), (6, 10)])
def test_a_token_of_the_grid_is_about_its_cell_of_the_page(local, rows, cols):
    plain = np.full((rows * 48, cols * 48, 3), 200, np.uint8)
    for row, col in [(0, 0), (0, cols - 1), (rows - 1, 0), (2, 3)]:
        marked = plain.copy()
        marked[row * 48 : row * 48 + 48, col * 48 : col * 48 + 48] = picture(48, 48, seed=row)
        before, after = local.encode_pages([page(plain), page(marked)])
        assert (after.place.rows, after.place.cols) == (rows, cols)
        (moved,) = np.flatnonzero(np.linalg.norm(after.tokens - before.tokens, axis=1) > 1e-4)
        assert after.place.cell(int(moved)) == (row, col)


def test_batch_mates_change_nothing():
    """Through the real batching, with the batch of a GPU: grids of one length share a pass."""
    checkpoint = fetch_checkpoint(str(tiny_gemma_folder()))
    parts, settings = load_gemma(checkpoint, "float32"), Settings(visual_tokens=70)
    batched = EmbeddingGemma(checkpoint, replace(parts, placement=replace(parts.placement, batch=3)), settings)
    sizes = [(300, 200), (200, 300), (300, 200), (64, 64), (300, 200), (0, 900)]
    pages = [
        page(picture(*size, seed=at) if all(size) else np.zeros((*size, 3), np.uint8), at + 1)
        for at, size in enumerate(sizes)
    ]
    *made, refused = batched.encode_pages(pages)
    assert isinstance(refused, PageRefused)
    assert "Page 6 of report.pdf cannot be encoded: 900 × 0 pixels" in str(refused)
    for one, many in zip([loaded("tiny-gemma").encode_pages([p])[0] for p in pages[:-1]], made, strict=True):
        assert (one.page, one.place) == (many.page, many.place)
        np.testing.assert_allclose(one.tokens, many.tokens, atol=1e-5)
        np.testing.assert_allclose(one.pooled, many.pooled, atol=1e-5)


@pytest.mark.parametrize("mark", [*SPECIALS, *EXTRA_SPECIALS.values()])
def test_a_mark_that_a_visitor_types_stays_text(gemma, mark):
    text = f"a {mark}{mark} b<<{mark}"
    made = gemma.encode_query(Query(text))
    assert set(made.kinds.tolist()) == {INSTRUCTION, CONTENT}
    own = "".join(label for label, kind in zip(made.labels, made.kinds, strict=True) if kind == CONTENT)
    assert own.replace(" ", "") == text.replace(" ", "")
    written = gemma.prepare_query(Query(text)).prompt.ids
    special = AutoTokenizer.from_pretrained(tiny_gemma_folder()).all_special_ids
    assert np.flatnonzero(np.isin(written, special)).tolist() == [0, len(written) - 1]


def test_a_query_beyond_the_window_is_cut_with_a_notice_and_keeps_its_end(gemma):
    prepared = gemma.prepare_query(Query("motor " * 20_000))  # not encoded: the tiny model too takes seconds for it
    prompt = prepared.prompt
    assert len(prompt.ids) == 8_192
    assert (prompt.labels[0], prompt.labels[-1]) == ("<bos>", "<eos>")
    assert (prompt.text_pieces, prompt.cut_pieces) == (20_000, 20_000 - 8_192 + 2 + 5)
    (notice,) = gemma.notices(Query("motor"), prompt)
    assert notice.code == "query-cut"
    assert "8,192 tokens" in notice.text
    assert gemma.encode_query(Query("motor")).notices == ()


def test_a_query_may_be_a_picture_or_a_picture_with_words(gemma):
    image = gemma.encode_query(Query(image=picture()))
    both = gemma.encode_query(Query("red star", picture()))
    assert set(image.kinds.tolist()) == {PATCH}
    assert (image.labels[0], image.labels[-1]) == ("▦ 1,1", "▦ 10,6")
    assert both.kinds.tolist() == sorted(both.kinds, key=[INSTRUCTION, PATCH, CONTENT].index)
    assert both.word_texts == ("red", "star")
    with pytest.raises(QueryRefused, match="pixels"):
        gemma.encode_query(Query(image=np.zeros((0, 9, 3), np.uint8)))


def test_a_library_by_it_is_indexed_searched_and_explained_and_outlives_a_restart(tmp_path):
    """Pages of patches alone: every winner has its place on the page."""
    (tmp_path / "samples").mkdir()
    file = write_pdf(tmp_path / "tides.pdf", "tide table harbour", "red star motor\npart number 7")
    settings = settings_below(
        tmp_path, backbone=str(tiny_gemma_folder()), visual_tokens=70, dtype="float32", codec="float32"
    )
    with open_engine(settings, fall_back=False) as engine:
        steps = list(engine.add(LOCAL, [(file, file.name)]))
        assert [step.state for step in steps if step.state is not State.WORKING] == [State.DONE]
    query = Query("where is the tide table")
    with open_engine(settings, fall_back=False) as engine:
        backbone = engine.backbone(LOCAL)
        found = engine.search(query, [LOCAL])
        hits = found.results["smart"].hits
        assert len(hits) == 2
        asked = backbone.encode_query(query)
        slots = {hit.page.key: Slot(300, 200) for hit in hits}
        crops = engine.crops(query, [LOCAL], slots)
        for hit in hits:
            stored = engine.library.encoding(hit.page)
            assert isinstance(stored.place, TokenGrid)
            assert stored.place.rows * stored.place.cols == hit.page.tokens == len(stored.tokens)
            assert hit.pooled == pytest.approx(float(asked.pooled @ stored.pooled), abs=1e-5)
            assert hit.late == pytest.approx(float((asked.tokens @ stored.tokens.T).max(axis=1).mean()), abs=1e-5)
            told = engine.explain(query, [LOCAL], hit.page.key)
            assert told.attribution.score == pytest.approx(hit.score, abs=1e-5)
            assert told.attribution.share(PATCH) == pytest.approx(1)
            assert winner_map(told.attribution).remainder == ()
            (tide,) = (term for term in told.attribution.terms if term.label == "tide")
            cosines = (asked.tokens[list(tide.tokens)] @ stored.tokens.T).max(axis=0)
            seen = similarity_map(told.attribution.match, tide.tokens).values
            np.testing.assert_allclose(seen, cosines.reshape(stored.place.rows, stored.place.cols), atol=1e-5)
            assert isinstance(crops[hit.page.key].crop, (EvidenceCrop, NoPlace))
        costs = compute_costs([hit.page for hit in hits], backbone.encoder, {}, settings)
        assert (costs.mean_tokens, costs.width, costs.pooled_width) == (9 * 7, 96, 96)
        assert costs.stored_bytes == pytest.approx(63 * 96 * 4, rel=0.02)
        by_picture = engine.search(Query(image=np.asarray(Image.new("RGB", (60, 90), "red"))), [LOCAL])
        assert len(by_picture.results["smart"].hits) == 2
