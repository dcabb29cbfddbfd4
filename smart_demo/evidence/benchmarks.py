"""Public benchmarks of page images, and the figures that were published for them. Data alone.

A set is here only if a public source names its dataset on the hub; others are named under `left_out`, with the reason.

    names      TIGER-AI-Lab/VLM2Vec, src/constant/dataset_hf_path.py, for the 24 sets of MMEB-V2, which SMART's own
               evaluator reads (HanSolo9682/SMART, eval/scripts/evaluation/mmeb_v2/visdoc.yaml): the first and second
               edition of ViDoRe and VisRAG. Of the second edition three sets are run with the queries of all languages.
               The third edition: the dataset cards huggingface.co/datasets/vidore/vidore_v3_*, arXiv 2601.08620.
    commits    embeddings-benchmark/mteb: mteb/tasks/Image/Any2AnyRetrieval/eng/VidoreBenchRetrieval.py (early 2025, the
               `_beir` sets), mteb/tasks/retrieval/multilingual/vidore2_bench_retrieval.py at 03432e2, the task files of
               the classes VisRAGRetArxivQA and so on. Third edition: `main` of 2026-09-28, pinned alike by three public
               evaluation programs. A set without a commit is read as it is now, and the report names its commit.
    figures    "Your Embedding Model is SMARTer Than You Think", arXiv 2605.24938, Tables 1 and 2, from transcriptions:
               compare with the paper before quoting. Others as each says.
    gain       MMEB-V2 computes nDCG with linear and with exponential gain (VLM2Vec, src/utils/eval_utils/metrics.py)
               and reports `ndcg_linear@5` for documents. MTEB's nDCG is pytrec_eval's: linear.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from smart_demo.backbones.checkpoint_files import HUB_IDS
from smart_demo.errors import SettingRefused
from smart_demo.methods import POOLED, SMART, TRAINED

ALL_SETS = ""
"""The set of a figure that is the mean over the sets of a benchmark."""
NOT_STATED = "not stated"
"""The gain of a figure whose source does not name it; it is compared with linear gain."""


@dataclass(frozen=True, slots=True)
class BenchmarkSet:
    """One judged collection of page images on the hub."""

    name: str
    dataset: str
    """The dataset's name on the hub."""
    revision: str = ""
    """Commit of the dataset; empty for the newest."""
    split: str = "test"


@dataclass(frozen=True, slots=True)
class Benchmark:
    """Sets whose mean is reported: every set counts alike."""

    name: str
    title: str
    cut: int
    """Cut-off of its nDCG."""
    sets: tuple[BenchmarkSet, ...]
    left_out: Mapping[str, str]
    """Sets that cannot be run or were not requested, with the reason."""
    note: str = ""


@dataclass(frozen=True, slots=True)
class PublishedFigure:
    """A published nDCG."""

    model: str
    """Short name of the model."""
    benchmark: str
    method: str
    """Name of the method of ours that it belongs to."""
    value: float
    cut: int
    gain: str
    """`linear`, `exponential` or NOT_STATED."""
    source: str
    protocol: str
    """What to know before comparing."""
    set: str = ALL_SETS


def _vidore_v1() -> tuple[BenchmarkSet, ...]:
    pinned = {
        "arxivqa_test_subsampled": "7d94d570960eac2408d3baa7a33f9de4822ae3e4",
        "docvqa_test_subsampled": "162ba2fc1a8437eda8b6c37b240bc1c0f0deb092",
        "infovqa_test_subsampled": "b802cc5fd6c605df2d673a963667d74881d2c9a4",
        "tabfquad_test_subsampled": "61a2224bcd29b7b261a4892ff4c8bea353527a31",
        "tatdqa_test": "5feb5630fdff4d8d189ffedb2dba56862fdd45c0",
        "shiftproject_test": "84a382e05c4473fed9cff2bbae95fe2379416117",
        "syntheticDocQA_artificial_intelligence_test": "2d9ebea5a1c6e9ef4a3b902a612f605dca11261c",
        "syntheticDocQA_energy_test": "9935aadbad5c8deec30910489db1b2c7133ae7a7",
        "syntheticDocQA_government_reports_test": "b4909afa930f81282fd20601e860668073ad02aa",
        "syntheticDocQA_healthcare_industry_test": "f9e25d5b6e13e1ad9f5c3cce202565031b3ab164",
    }
    return tuple(BenchmarkSet(name.split("_test")[0], f"vidore/{name}_beir", commit) for name, commit in pinned.items())


def _vidore_v2() -> tuple[BenchmarkSet, ...]:
    pinned = {
        "esg_reports_human_labeled": "6d467dedb09a75144ede1421747e47cf036857dd",
        "biomedical_lectures": "a29202f0da409034d651614d87cd8938d254e2ea",
        "economics_reports": "b3e3a04b07fbbaffe79be49dabf92f691fbca252",
        "esg_reports": "0542c0d03da0ec1c8cbc517c8d78e7e95c75d3d3",
    }
    return tuple(BenchmarkSet(name, f"vidore/{name}_v2", commit) for name, commit in pinned.items())


def _visrag() -> tuple[BenchmarkSet, ...]:
    pinned = {
        "ArxivQA": "00a31fc1e899b5f81d7760eca4907b1a1005865b",
        "ChartQA": "31f5ceb5d60b02e065bff394cb582f5bbb01a9b6",
        "MP-DocVQA": "3ebd091c458cf04161f78cd7b12ea101f83e2529",
        "SlideVQA": "",  # MTEB reads a copy of its own
        "InfoVQA": "04ee2db1d0a05304899453a3b03baef5e18991a3",
        "PlotQA": "ef953ef8ab6d78ac112dd4cde6acdb2c2692039a",
    }
    return tuple(
        BenchmarkSet(name, f"openbmb/VisRAG-Ret-Test-{name}", commit, split="train") for name, commit in pinned.items()
    )


def _vidore_v3() -> tuple[BenchmarkSet, ...]:
    pinned = {
        "finance_en": "7f432c176d82e27546501ad8064a713ac3071809",
        "finance_fr": "1d808daa08032ffecdf62da151a7f7a8fe2bd0c9",
        "computer_science": "d5cc75883d92e294f0c0fc2662551c9708a06ebc",
        "hr": "0cdf0979f2c5a0fd3e335e6373b9da48a9fe3bc3",
        "energy": "caec06d3c73434d635f710f93bcd898331c59f20",
        "industrial": "e26c864724f5dd71a3d7d739272d95637764cee9",
        "pharmaceuticals": "3abd4aa8a9445fb5538a78a19ba50bd57bd22b5c",
        "physics": "a0de276f515acc044b72cae8de53a44bb5a8f1f5",
    }
    return tuple(BenchmarkSet(name, f"vidore/vidore_v3_{name}", commit) for name, commit in pinned.items())


NOT_CHOSEN = "It was not requested (--sets)."
PRIVATE = "It has no public dataset: MTEB keeps it private (mteb-private)."
BENCHMARKS = {
    found.name: found
    for found in (
        Benchmark("vidore-v1", "ViDoRe, first edition", 5, _vidore_v1(), {}),
        Benchmark(
            "vidore-v2",
            "ViDoRe, second edition, queries of all languages",
            5,
            _vidore_v2(),
            {},
            "MMEB-V2's program passes the pages of a query through a Python set before it pairs them with their "
            "grades, so in a graded set its figures may give a page another page's grade.",
        ),
        Benchmark("visrag", "VisRAG", 5, _visrag(), {}),
        Benchmark(
            "vidore-v3",
            "ViDoRe, third edition, queries of all languages",
            10,
            _vidore_v3(),
            {"nuclear": PRIVATE, "telecom": PRIVATE},
            "Whether a published mean includes the two private sets, and which languages, its source does not say.",
        ),
    )
}
"""Every benchmark by its name."""


def _paper(model: str, note: str, **rows: tuple[float, float]) -> tuple[PublishedFigure, ...]:
    """Return the figures of one model in Table 1. rows: (pooled, SMART) in per cent, by benchmark."""
    return tuple(
        PublishedFigure(
            model, name.replace("_", "-"), method, round(value / 100, 4), 5, "linear", "paper, Table 1", note
        )
        for name, pair in rows.items()
        for method, value in zip((POOLED.name, SMART.name), pair, strict=True)
    )


QWEN_PROTOCOL = "bf16, at most 1,800 visual tokens a page, tokens of filter `code`, token states in float32"
NEOMME_PROTOCOL = "late head, longest side 2,048 pixels; blog post of 2026-09-03"
NEOMME_SOURCE = "model's authors"
MTEB_PROTOCOL = "MTEB's own query instruction; its budget is not stated"
PUBLISHED = (
    *_paper("qwen3-vl-2b", QWEN_PROTOCOL, vidore_v1=(84.46, 85.52), vidore_v2=(65.38, 66.61), visrag=(86.19, 86.87)),
    *_paper("qwen3-vl-8b", QWEN_PROTOCOL, vidore_v1=(87.29, 87.92), vidore_v2=(69.35, 70.57), visrag=(88.78, 89.12)),
    *_paper(
        "vlm2vec-v2",
        "pages without an instruction, pooled at a space: SMART's protocol, not the model's own",
        vidore_v1=(75.34, 80.23),
        vidore_v2=(47.28, 51.08),
        visrag=(79.43, 82.76),
    ),
    *(
        PublishedFigure("qwen3-vl-2b", name, POOLED.name, value, 5, "linear", "paper, Table 2", QWEN_PROTOCOL)
        for name, value in (("vidore-v1", 0.8460), ("vidore-v2", 0.6533), ("visrag", 0.8634))
    ),
    PublishedFigure("qwen3-vl-2b", "vidore-v3", POOLED.name, 0.529, 10, "linear", "MTEB results #433", MTEB_PROTOCOL),
    *(
        PublishedFigure(model, name, TRAINED.name, value, cut, NOT_STATED, NEOMME_SOURCE, NEOMME_PROTOCOL)
        for model, values in (("neomme-260m", (0.860, 0.522, 0.523)), ("neomme-800m", (0.874, 0.559, 0.556)))
        for name, value, cut in zip(("vidore-v1", "vidore-v2", "vidore-v3"), values, (5, 5, 10), strict=True)
    ),
    *(
        PublishedFigure("embeddinggemma-2", "vidore-v1", POOLED.name, value, 5, "linear", "MTEB", MTEB_PROTOCOL, name)
        for name, value in (("docvqa", 0.387), ("infovqa", 0.772), ("tatdqa", 0.423))
    ),
)
"""Every published figure that a run is compared with."""
PUBLISHED_BUDGETS = {"qwen3-vl-2b": 1_800, "qwen3-vl-8b": 1_800}
"""Budget of visual tokens behind the published figures, by model: a run takes it unless SMART_VISUAL_TOKENS is set."""


def model_name(name: str) -> str:
    """Return a model's short name by its short name, hub id or the folder of a download; any other name as it is.

    >>> model_name("Qwen/Qwen3-VL-Embedding-2B"), model_name("/models/NeoMME-260M-Retriever"), model_name("mine")
    ('qwen3-vl-2b', 'neomme-260m', 'mine')
    """
    last = name.rstrip("/").rsplit("/", 1)[-1].casefold()
    return next((short for short, hub in HUB_IDS.items() if last in (short, hub.rsplit("/", 1)[-1].casefold())), name)


def choose_benchmarks(chosen: str = "", known: Mapping[str, Benchmark] = BENCHMARKS) -> tuple[Benchmark, ...]:
    """Return the benchmarks of a comma-separated list, each once, all if empty. One set is named BENCHMARK/SET.

    Raises SettingRefused for a name that is not known.

    >>> [(found.name, len(found.sets)) for found in choose_benchmarks("visrag,vidore-v1/docvqa,vidore-v1/tatdqa")]
    [('visrag', 6), ('vidore-v1', 2)]
    """
    wanted: dict[str, set[str]] = {}
    for part in filter(None, map(str.strip, chosen.split(","))) if chosen else known:
        name, _, one = part.partition("/")
        if name not in known:
            raise SettingRefused(f"{part!r} is no benchmark.", f"--sets takes {', '.join(known)}.")
        names = {found.name for found in known[name].sets}
        if one and one not in names:
            raise SettingRefused(f"{name} has no set {one!r}.", f"It has {', '.join(sorted(names))}.")
        wanted.setdefault(name, set()).update({one} if one else names)
    if not wanted:
        raise SettingRefused("No benchmark is named.", f"--sets takes {', '.join(known)}.")
    return tuple(_choose_sets(known[name], names) for name, names in wanted.items())


def _choose_sets(benchmark: Benchmark, names: Collection[str]) -> Benchmark:
    chosen = tuple(found for found in benchmark.sets if found.name in names)
    others = {found.name: NOT_CHOSEN for found in benchmark.sets if found.name not in names}
    return replace(benchmark, sets=chosen, left_out={**benchmark.left_out, **others})
