import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import openai
import pytest
from pydantic import SecretStr
from ray import serve

from factory.memory.embedding import Embedder, EmbedderSpec, load_embedder
from factory.serve.embeddings import embeddings_application

KEY = "a key for tests"
MODEL = "all-MiniLM-L6-v2"


@pytest.fixture(scope="module")
def url(cluster: str) -> Iterator[str]:
    """Give the address of a served embedder."""
    assert cluster
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    serve.start(http_options=serve.HTTPOptions(host="127.0.0.1", port=port))
    spec = EmbedderSpec(device="cpu", precision="float32")
    serve.run(embeddings_application(spec, api_key=SecretStr(KEY)), name="embeddings", route_prefix="/")
    yield f"http://127.0.0.1:{port}/v1"
    serve.shutdown()  # type: ignore[no-untyped-call]


@pytest.fixture(scope="module")
def local() -> Embedder:
    return load_embedder(device="cpu", precision="float32")


def client(url: str, key: str = KEY) -> openai.OpenAI:
    return openai.OpenAI(base_url=url, api_key=key, max_retries=0)


def test_the_client_of_openai_gets_the_vectors_of_the_model(url: str, local: Embedder) -> None:
    texts = ["A patient books.", "The invoice is late.", "word " * 400]
    expected = local.embed(texts)
    for encoding in ("float", None):  # where nothing is said, the client asks for base64 and decodes it
        more: dict[str, Any] = {"encoding_format": encoding} if encoding else {}
        answer = client(url).embeddings.create(model=MODEL, input=texts, dimensions=384, user="somebody", **more)
        assert [entry.index for entry in answer.data] == [0, 1, 2]
        assert answer.model == MODEL
        assert (np.array([entry.embedding for entry in answer.data]) * expected).sum(axis=1).min() > 0.9999
        counts = [min(local.count_tokens(text), 256) for text in texts]
        assert answer.usage.prompt_tokens == answer.usage.total_tokens == sum(counts)
    single = client(url).embeddings.create(model=f"sentence-transformers/{MODEL}", input=texts[0])
    assert len(single.data) == 1


def test_requests_that_come_together_get_each_their_own(url: str, local: Embedder) -> None:
    texts = [f"Patient {number} books {'again ' * (number % 7)}" for number in range(40)]
    expected = local.embed(texts)
    asking = client(url)

    def ask(text: str) -> list[float]:
        return asking.embeddings.create(model=MODEL, input=text).data[0].embedding

    with ThreadPoolExecutor(8) as threads:
        made = np.array(list(threads.map(ask, texts)))
    assert (made * expected).sum(axis=1).min() > 0.9999


def test_the_factory_is_a_client_of_its_own_endpoint(url: str, local: Embedder) -> None:
    remote = load_embedder(MODEL, url=url, api_key=KEY)
    assert remote.model == local.model
    texts = ["A patient books.", "", "two"]
    assert (remote.embed(texts) * local.embed(["A patient books.", " ", "two"])).sum(axis=1).min() > 0.9999


def test_the_model_is_listed_and_described(url: str) -> None:
    (listed,) = client(url).models.list().data
    assert (listed.id, listed.object) == (MODEL, "model")
    assert client(url).models.retrieve(MODEL) == listed
    with pytest.raises(openai.NotFoundError):
        client(url).models.retrieve("gpt")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"input": [1, 2, 3]}, "input"),
        ({"input": [[1, 2], [3]]}, "input"),
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": ["a", ""]}, "input"),
        ({"input": ["a"] * 2_049}, "input"),
        ({}, "input"),
        ({"input": "a", "dimensions": 12}, "dimensions"),
        ({"input": "a", "encoding_format": "int8"}, "encoding_format"),
        ({"input": "a", "unknown": 1}, "unknown"),
    ],
)
def test_a_request_that_is_none_is_refused_in_the_shape_of_openai(url: str, body: dict[str, Any], param: str) -> None:
    answer = httpx.post(f"{url}/embeddings", json={"model": MODEL, **body}, headers={"Authorization": f"Bearer {KEY}"})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["param"] == param
    assert error["type"] == "invalid_request_error"
    assert param in error["message"] or "dimensions" in error["message"]


def test_refusals_reach_the_client_as_its_own_errors(url: str) -> None:
    with pytest.raises(openai.AuthenticationError, match="API key"):
        client(url, "another").embeddings.create(model=MODEL, input="a")
    with pytest.raises(openai.NotFoundError) as raised:
        client(url).embeddings.create(model="gpt", input="a")
    assert raised.value.code == "model_not_found"
    headers = {"Authorization": f"Bearer {KEY}"}
    assert httpx.post(f"{url}/embeddings", content=b"{", headers=headers).status_code == 400
    assert httpx.post(f"{url}/embeddings", content=b" " * 17_000_000, headers=headers).status_code == 413
    assert httpx.get(f"{url}/nothing", headers=headers).json()["error"]["message"] == "Not Found"
