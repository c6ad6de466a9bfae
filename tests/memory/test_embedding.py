import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from factory.domain.errors import BadInputError, ErrorCategory, RetryableError, TerminalError
from factory.memory.embedding import Embedder, EmbedderSpec, EmbeddingModel, load_embedder
from factory.memory.embedding.batches import batches_by_length
from factory.memory.embedding.model import unit_length, well_formed
from factory.memory.embedding.remote import RemoteEmbedder
from factory.settings import Settings
from tests.memory.endpoint import API_KEY, DIMENSION, Endpoint, serving, vector

ODD_TEXTS = ["", " ", "\x00", "a\ud800b", "\u200b\u200d", "x" * 5_000, "word " * 2_000, "日本語 עברית", "🙂" * 300]


@pytest.fixture(scope="module")
def local() -> Embedder:
    return load_embedder(device="cpu", precision="float32")


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with serving() as served:
        yield served


def remote(endpoint: Endpoint, *, retries: int = 2, key: str = API_KEY, name: str = "little") -> RemoteEmbedder:
    return RemoteEmbedder(name, endpoint.url, key, retries=retries, seconds=20)


@given(st.lists(st.integers(0, 300), max_size=200), st.integers(1, 2_000))
def test_batches_hold_every_text_once_and_stay_within_the_budget(lengths: list[int], budget: int) -> None:
    batches = [list(batch) for batch in batches_by_length(lengths, budget)]

    assert sorted(place for batch in batches for place in batch) == list(range(len(lengths)))
    for batch in batches:
        longest = max(lengths[place] for place in batch)
        assert len(batch) == 1 or longest * len(batch) <= budget
        assert lengths[batch[0]] == longest


@given(st.text(st.characters(exclude_categories=[])))
def test_any_text_becomes_one_that_can_be_encoded_and_stays_as_it_was_if_it_could(text: str) -> None:
    made = well_formed(text)
    made.encode()
    try:
        text.encode()
    except UnicodeEncodeError:
        assert "\ufffd" in made
    else:
        assert made == text


def test_vectors_without_a_direction_become_nan() -> None:
    made = unit_length(np.array([[3.0, 4.0], [0.0, 0.0], [np.inf, 1.0], [np.nan, 1.0]]))
    assert made.dtype == np.float32
    np.testing.assert_allclose(made[0], [0.6, 0.8], rtol=1e-6)
    assert np.isnan(made[1:]).all()


def test_the_local_model_gives_what_encode_gives(local: Embedder) -> None:
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415 - takes seconds

    from factory.memory.embedding.weights import model_folder  # noqa: PLC0415 - beside its user

    texts = ["A patient books an appointment.", "def book(patient): ...", *ODD_TEXTS, "an invoice is paid late"]
    expected = SentenceTransformer(str(model_folder("all-MiniLM-L6-v2")), device="cpu").encode(
        [well_formed(text) for text in texts], show_progress_bar=False
    )

    made = local.embed(texts)

    assert made.shape == (len(texts), 384)
    assert made.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(made, axis=1), 1, atol=1e-5)
    assert (made * expected).sum(axis=1).min() > 0.9999


def test_the_local_model_keeps_meaning_in_bfloat16(local: Embedder) -> None:
    texts = ["A patient books an appointment.", "the release went out", "x", "word " * 300]
    half = load_embedder("sentence-transformers/all-MiniLM-L6-v2", device="cpu", precision="bfloat16")
    assert half.model == local.model
    assert (half.embed(texts) * local.embed(texts)).sum(axis=1).min() > 0.999


def test_a_model_with_another_pooling_is_run_by_encode(local: Embedder, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415 - takes seconds
    from sentence_transformers.sentence_transformer.modules import Pooling  # noqa: PLC0415 - same

    from factory.memory.embedding.weights import model_folder  # noqa: PLC0415 - beside its user

    transformer = SentenceTransformer(str(model_folder("all-MiniLM-L6-v2")), device="cpu")[0]
    other = SentenceTransformer(modules=[transformer, Pooling(384, "cls")], device="cpu")
    other.save(str(tmp_path / "model"))
    texts = ["A patient books an appointment.", *ODD_TEXTS]
    expected = unit_length(other.encode([well_formed(text) for text in texts], show_progress_bar=False))

    loaded = load_embedder(str(tmp_path / "model"), device="cpu")

    assert loaded.model == EmbeddingModel(str(tmp_path / "model"), 384, max_tokens=256)
    assert (loaded.embed(texts) * expected).sum(axis=1).min() > 0.9999
    assert (expected[0] @ local.embed(texts[:1])[0]) < 0.99
    assert loaded.count_tokens("two words") == local.count_tokens("two words")


def test_no_text_gives_no_vector(local: Embedder) -> None:
    assert local.embed([]).shape == (0, 384)


def test_what_is_beyond_the_longest_text_has_no_influence(local: Embedder) -> None:
    short = "word " * (local.model.max_tokens - 2)
    assert local.model == EmbeddingModel("all-MiniLM-L6-v2", 384, max_tokens=256)
    assert local.count_tokens(short) == local.model.max_tokens
    assert local.count_tokens(short + "more") == local.model.max_tokens + 1
    first, second = local.embed([short, short + "more of it"])
    assert first @ second > 0.99999


def test_tokens_are_counted_alike_with_and_without_the_model(local: Embedder) -> None:
    count = EmbedderSpec().counter()
    assert [count(text) for text in ODD_TEXTS] == [local.count_tokens(text) for text in ODD_TEXTS]


@pytest.mark.parametrize("name", ["no such/model/at all", "/nowhere/model"])
def test_an_unknown_model_is_named(name: str) -> None:
    with pytest.raises(BadInputError, match=name):
        load_embedder(name)


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=str(tmp_path)):
        load_embedder(str(tmp_path))


def test_without_the_extra_one_is_told_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "torch" else object())
    for use in (load_embedder, EmbedderSpec().counter):
        with pytest.raises(BadInputError, match=r"torch.*pip install 'factory\[embeddings\]'"):
            use()


def test_the_settings_name_the_embedder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACTORY_EMBEDDING_URL", "https://host/v1")
    monkeypatch.setenv("FACTORY_EMBEDDING_API_KEY", "secret words")
    monkeypatch.setenv("FACTORY_EMBEDDING_MODEL", "large")
    spec = EmbedderSpec.of(Settings())
    assert spec == EmbedderSpec("large", url="https://host/v1", api_key=SecretStr("secret words"))
    assert "secret words" not in repr(spec)


def test_an_endpoint_needs_no_torch(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    embedder = load_embedder("little", url=endpoint.url, api_key=API_KEY)
    assert embedder.model == EmbeddingModel("little", DIMENSION, max_tokens=256)


@pytest.mark.parametrize("as_lists", [False, True])
def test_an_endpoint_gives_unit_vectors_in_the_order_of_the_texts(endpoint: Endpoint, *, as_lists: bool) -> None:
    endpoint.as_lists = as_lists
    texts = [f"text {number}" for number in range(300)]

    made = remote(endpoint).embed(texts)

    expected = np.array([vector(text) for text in texts])
    np.testing.assert_allclose(made, expected / np.linalg.norm(expected, axis=1, keepdims=True), rtol=1e-5)
    assert len(endpoint.requests) == 3  # one for the dimension, and two of at most 256 texts
    assert endpoint.complaints == []


def test_an_endpoint_takes_odd_texts(endpoint: Endpoint) -> None:
    embedder = remote(endpoint)
    made = embedder.embed(ODD_TEXTS)
    np.testing.assert_allclose(np.linalg.norm(made, axis=1), 1, atol=1e-5)
    assert embedder.embed([]).shape == (0, DIMENSION)
    assert endpoint.complaints == []
    assert max(map(embedder.count_tokens, endpoint.requests[-1])) <= embedder.model.max_tokens


def test_a_model_of_unknown_length_is_taken_to_be_short(endpoint: Endpoint) -> None:
    endpoint.max_model_len = None
    assert remote(endpoint).model.max_tokens == 512


def test_an_endpoint_that_is_overloaded_is_asked_again(endpoint: Endpoint) -> None:
    embedder = remote(endpoint)
    endpoint.failures = [(429, {"message": "slow down", "code": "rate_limit_exceeded"}), (503, {"message": "later"})]
    assert embedder.embed(["text"]).shape == (1, DIMENSION)
    assert endpoint.texts["text"] == 1


@pytest.mark.parametrize(
    ("failures", "error", "category"),
    [
        ([(503, "none")], RetryableError, ErrorCategory.DEPENDENCY),
        ([(429, "rate_limit_exceeded")], RetryableError, ErrorCategory.DEPENDENCY),
        ([(429, "insufficient_quota")], TerminalError, ErrorCategory.BUDGET),
        ([(401, "invalid_api_key")], TerminalError, ErrorCategory.DEPENDENCY),
        ([(404, "model_not_found")], TerminalError, ErrorCategory.DEPENDENCY),
        ([(400, "invalid_input")], TerminalError, ErrorCategory.POISON),
    ],
)
def test_refusals_are_classified(
    endpoint: Endpoint,
    failures: Sequence[tuple[int, str]],
    error: type[RetryableError | TerminalError],
    category: ErrorCategory,
) -> None:
    embedder = remote(endpoint, retries=0)
    endpoint.failures = [(status, {"message": "no", "code": code}) for status, code in failures]
    with pytest.raises(error) as raised:
        embedder.embed(["text"])
    assert raised.value.category is category
    assert endpoint.url in str(raised.value)


@pytest.mark.parametrize(
    "data",
    [
        [],
        [{"object": "embedding", "index": 1, "embedding": [1.0] * DIMENSION}],
        [{"object": "embedding", "index": 0, "embedding": [1.0]}],
        [{"object": "embedding", "index": 0, "embedding": "not base64!"}],
        [{"object": "embedding", "index": 0, "embedding": []}],
    ],
)
def test_an_answer_that_is_no_vector_is_refused(endpoint: Endpoint, data: list[dict[str, object]]) -> None:
    embedder = remote(endpoint)
    endpoint.wrong_data = data
    with pytest.raises(TerminalError) as raised:
        embedder.embed(["text"])
    assert raised.value.category is ErrorCategory.VALIDATION


def test_a_wrong_key_and_an_unreachable_endpoint_are_told_at_once(endpoint: Endpoint) -> None:
    with pytest.raises(TerminalError, match="a wrong key"):
        remote(endpoint, key="another")
    with pytest.raises(RetryableError, match="cannot be reached"):
        RemoteEmbedder("little", "http://127.0.0.1:9/v1", retries=0)
    with pytest.raises(BadInputError, match="not the address"):
        load_embedder("little", url="ftp://host")
