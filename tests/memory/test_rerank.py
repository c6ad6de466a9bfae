import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from factory.domain.errors import BadInputError
from factory.memory.rerank import Passage, Reranker

pytest.importorskip("sentence_transformers", reason="the extra `embeddings` is not installed")
ROOT = Path(__file__).resolve().parents[2]
WORDS = "[PAD] [UNK] [CLS] [SEP] [MASK] order customer invoice payment who pays the an".split()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Save a cross-encoder of two layers with random weights: its scores mean nothing, but are always the same."""
    import torch  # noqa: PLC0415
    import transformers  # noqa: PLC0415

    library: Any = transformers  # its types do not know what it loads on demand
    folder = tmp_path_factory.mktemp("cross-encoder")
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join(WORDS))
    torch.manual_seed(4)
    config = library.BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
        num_labels=1,
        initializer_range=1.0,
    )
    library.BertForSequenceClassification(config).save_pretrained(folder)
    library.BertTokenizerFast(vocab=str(vocabulary), model_max_length=32).save_pretrained(folder)
    return str(folder)


PASSAGES = [
    Passage(b"a", "the customer pays the invoice"),
    Passage(b"b", "an order"),
    Passage(b"c", ""),
    Passage(b"d", "payment " * 500),
    Passage(b"e", "an order"),
]


def test_passages_are_ordered_by_the_model(model: str) -> None:
    reranker = Reranker(model, device="cpu", batch=2)
    ranked = reranker.rank("who pays", PASSAGES, 10)
    scores = dict(ranked)
    assert sorted(scores) == [b"a", b"b", b"c", b"d", b"e"]
    assert [score for _, score in ranked] == sorted(scores.values(), reverse=True)
    assert len({round(score, 4) for score in scores.values()}) > 1
    order = [chunk_id for chunk_id, _ in ranked]
    assert order.index(b"e") == order.index(b"b") + 1
    assert [chunk_id for chunk_id, _ in reranker.rank("who pays", PASSAGES, 2)] == order[:2]
    assert reranker.rank("who pays", [], 2) == []
    with pytest.raises(BadInputError, match="0 results"):
        reranker.rank("who pays", PASSAGES, 0)


def test_a_model_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(BadInputError, match="no-such-model"):
        Reranker(str(tmp_path / "no-such-model"))


def test_without_the_extra_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(BadInputError, match=r"factory\[embeddings\]"):
        Reranker("any")


def test_the_module_loads_without_the_extra() -> None:
    program = "import sys, factory.memory.rerank; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=os.environ, check=False).returncode == 0
