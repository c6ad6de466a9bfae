"""How well a search finds what people judged relevant: dense, keyword and hybrid, on Cranfield and CoSQA.

    python benchmarks/retrieval.py --data FOLDER --cache FOLDER      the test split, as a table
    python benchmarks/retrieval.py --split dev --sweep               how the fusion's weights were tuned
    python benchmarks/retrieval.py --json

The sets are not part of the repository, because nobody says that they may be passed on. FOLDER (or
FACTORY_RETRIEVAL_DATA) holds
    cranfield/  cran.all.1400, cran.qry and cranqrel; https://github.com/Chetan-Prasad/IR-Lucene_Cran has them
    cosqa/      code_idx_map.txt, cosqa-retrieval-dev-500.json and cosqa-retrieval-test-500.json, from data/search of
                https://github.com/Jun-jie-Huang/CoCLR
Cranfield: 1,400 abstracts and 225 questions about aerodynamics, judged from 1 (complete answer, gain 4) to 4 (of
little interest, gain 1); half of the questions, drawn by a fixed seed, are for development. CoSQA: 6,267 Python
functions and 500 questions each for development and test, which the set's authors split, with one function each.

Documents are cut into chunks that the model sees whole; chunks are ranked and fused as the factory does it, and a
document stands where its best chunk stands.
"""

import argparse
import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.vectors import MODEL, Vectors, headed
from factory.memory.fusion import WEIGHTS, Content, Ranking, Source, fuse
from factory.memory.keywords.index import KeywordIndex

SEED = 20
DEPTH = 100
AT = 10
METHODS = ("dense", "keyword", "hybrid")
_GAIN = {1: 4, 2: 3, 3: 2, 4: 1}
_CREATED = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Collection:
    """A labelled set.

    Attributes:
        content: Of what its documents are made.
        documents: Title and text of each.
        queries: Questions.
        relevant: For each question, the gain of the documents that answer it, by their place in `documents`.
        splits: Which questions are for development and which for test.
    """

    content: Content
    documents: Sequence[tuple[str, str]]
    queries: Sequence[str]
    relevant: Sequence[dict[int, int]]
    splits: dict[str, list[int]]


def read_cranfield(folder: Path) -> Collection:
    """Read the Cranfield collection."""
    documents = []
    for record in _records(folder / "cran.all.1400"):
        fields = re.split(r"^\.([TABW])\s*$", record, flags=re.MULTILINE)
        named = {name: " ".join(value.split()) for name, value in zip(fields[1::2], fields[2::2], strict=True)}
        # Most abstracts begin with their title.
        documents.append((named["T"], named["W"].removeprefix(named["T"]).strip()))
    queries = [" ".join(record.split(".W", 1)[1].split()) for record in _records(folder / "cran.qry")]
    relevant: list[dict[int, int]] = [{} for _ in queries]
    for line in (folder / "cranqrel").read_text().splitlines():
        # A query is named by its place in the file, not by its number there.
        query, document, grade = (int(word) for word in line.split()[:3])
        if grade in _GAIN:
            relevant[query - 1][document - 1] = _GAIN[grade]
    drawn = np.random.default_rng(SEED).permutation(len(queries)).tolist()
    half = (len(queries) + 1) // 2
    splits = {"dev": sorted(drawn[:half]), "test": sorted(drawn[half:])}
    return Collection(Content.PROSE, documents, queries, relevant, splits)


def read_cosqa(folder: Path) -> Collection:
    """Read CoSQA's retrieval task."""
    places: dict[str, int] = json.loads((folder / "code_idx_map.txt").read_text())
    documents = [("", code) for code in sorted(places, key=places.__getitem__)]
    queries: list[str] = []
    relevant: list[dict[int, int]] = []
    splits: dict[str, list[int]] = {}
    for split in ("dev", "test"):
        asked = json.loads((folder / f"cosqa-retrieval-{split}-500.json").read_text())
        splits[split] = list(range(len(queries), len(queries) + len(asked)))
        queries += [item["doc"] for item in asked]
        relevant += [{item["retrieval_idx"]: 1} for item in asked]
    return Collection(Content.CODE, documents, queries, relevant, splits)


COLLECTIONS: dict[str, Callable[[Path], Collection]] = {"cranfield": read_cranfield, "cosqa": read_cosqa}


class Searches:
    """The two searches over the chunks of a set, and their fusion."""

    def __init__(self, collection: Collection, vectors: Vectors) -> None:
        self._collection = collection
        chunks = [
            (number, title, piece)
            for number, (title, text) in enumerate(collection.documents)
            for piece in vectors.split(title, text)
        ]
        self._document = [number for number, _, _ in chunks]
        matrix = vectors.embed([headed(title, piece) for _, title, piece in chunks])
        cosines = vectors.embed(collection.queries) @ matrix.T
        self._dense = [[_id(n) for n in np.argsort(-row, kind="stable")[:DEPTH]] for row in cosines]
        with KeywordIndex(None) as index:
            index.apply((_row(n, title, piece) for n, (_, title, piece) in enumerate(chunks)), version=1)
            self._keyword = [[i for i, _ in index.search(query, DEPTH)] for query in collection.queries]

    def dense(self, query: int) -> list[int]:
        """Return the documents by cosine."""
        return self._documents(self._dense[query])

    def keyword(self, query: int) -> list[int]:
        """Return the documents by BM25."""
        return self._documents(self._keyword[query])

    def hybrid(self, query: int, weight: float | None = None) -> list[int]:
        """Return the documents of both rankings fused, with the factory's weight of keywords or this one."""
        content = self._collection.content
        fused = fuse(
            [Ranking(Source.DENSE, self._dense[query]), Ranking(Source.KEYWORD, self._keyword[query])],
            2 * DEPTH,
            query=self._collection.queries[query] if weight is None else "",
            content=lambda _: content,
            weights=WEIGHTS if weight is None else {content: weight},
        )
        return self._documents([scored.id for scored in fused])

    def _documents(self, chunk_ids: Sequence[bytes]) -> list[int]:
        return list(dict.fromkeys(self._document[int.from_bytes(i, "big")] for i in chunk_ids))


def figures(collection: Collection, split: str, rank: Callable[[int], list[int]]) -> dict[str, float]:
    """Return nDCG@10, recall@10 and the mean reciprocal rank over the questions of a split that have an answer."""
    ndcg, recall, reciprocal = [], [], []
    for query in collection.splits[split]:
        gains = collection.relevant[query]
        if not gains:
            continue
        ranked = rank(query)
        gained = _discounted([gains.get(document, 0) for document in ranked[:AT]])
        ndcg.append(gained / _discounted(sorted(gains.values(), reverse=True)[:AT]))
        recall.append(len(gains.keys() & set(ranked[:AT])) / len(gains))
        reciprocal.append(next((1 / place for place, document in enumerate(ranked, 1) if document in gains), 0.0))
    return {"ndcg@10": mean(ndcg), "recall@10": mean(recall), "mrr": mean(reciprocal)}


def main() -> None:
    """Measure and print."""
    options = _options()
    vectors = Vectors(options.cache)
    found: dict[str, Any] = {"model": MODEL, "split": options.split, "sets": {}}
    for name in options.only or COLLECTIONS:
        collection = COLLECTIONS[name](options.data / name)
        searches = Searches(collection, vectors)
        rows = {method: figures(collection, options.split, getattr(searches, method)) for method in METHODS}
        if options.sweep:
            for weight in (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7):
                ranked = partial(searches.hybrid, weight=weight)
                rows[f"keyword weight {weight}"] = figures(collection, options.split, ranked)
        found["sets"][name] = rows
    if options.json:
        print(json.dumps(found, indent=2))
        return
    table = Table("set", "search", "nDCG@10", "recall@10", "MRR", title=f"{MODEL}, {options.split} split")
    for name, rows in found["sets"].items():
        for method, row in rows.items():
            table.add_row(name, method, *(f"{value:.3f}" for value in row.values()))
    Console().print(table)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = os.environ.get("FACTORY_RETRIEVAL_DATA")
    parser.add_argument("--data", type=Path, default=default, help="folder of the sets")
    parser.add_argument("--cache", type=Path, help="folder in which vectors are kept")
    parser.add_argument("--only", action="append", choices=tuple(COLLECTIONS), help="one set; may be given again")
    parser.add_argument("--split", choices=("dev", "test"), default="test")
    parser.add_argument("--sweep", action="store_true", help="also with other weights of keywords")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.data is None:
        parser.error("give --data or set FACTORY_RETRIEVAL_DATA; the help says where the sets come from")
    for name in options.only or COLLECTIONS:
        if not (options.data / name).is_dir():
            parser.error(f"{options.data} has no folder {name}; the help says where it comes from")
    return options


def _records(path: Path) -> list[str]:
    return re.split(r"^\.I ", path.read_text(encoding="utf-8", errors="replace"), flags=re.MULTILINE)[1:]


def _discounted(gains: Sequence[int]) -> float:
    return float(sum(gain / np.log2(place + 1) for place, gain in enumerate(gains, 1)))


def _id(number: int) -> bytes:
    return int(number).to_bytes(16, "big")


def _row(number: int, title: str, text: str) -> dict[str, object]:
    return {
        "chunk_id": _id(number),
        "tenant": "",
        "project_id": "",
        "kind": "",
        "version": 1,
        "agent": "",
        "created_at": _CREATED,
        "title": title,
        "text": text,
    }


if __name__ == "__main__":
    main()
