"""An endpoint for embeddings that checks requests against OpenAI's documented shape, and fails when it is told to."""

import base64
import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

DIMENSION = 8
API_KEY = "a key for tests"


def vector(text: str) -> list[float]:
    """Return the vector of a text; not of unit length."""
    seed = int.from_bytes(sha256(text.encode()).digest()[:4], "big")
    return [float(value) for value in np.random.default_rng(seed).normal(size=DIMENSION).astype(np.float32)]


@dataclass
class Endpoint:
    """What the endpoint was asked, and what it is to do wrong.

    Attributes:
        url: Up to and with `/v1`.
        requests: The texts of every request that was answered.
        failures: Answers to give to the next requests instead: status and error object.
        as_lists: Ignore that base64 was asked for.
        max_model_len: What the model's description tells; None leaves it out.
        wrong_data: To answer with instead.
        hold_after: Answer so many requests beside those for the dimension, and no other until `release` is set.
        release: See there.
        counting: Held while `admitted` changes.
        admitted: Requests that were counted for `hold_after`.
        complaints: About requests that OpenAI would refuse.
    """

    url: str = ""
    requests: list[list[str]] = field(default_factory=list)
    failures: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    as_lists: bool = False
    max_model_len: int | None = 256
    wrong_data: list[dict[str, Any]] | None = None
    hold_after: int | None = None
    release: threading.Event = field(default_factory=threading.Event)
    counting: threading.Lock = field(default_factory=threading.Lock)
    admitted: int = 0
    complaints: list[str] = field(default_factory=list)

    def wait_for_turn(self, texts: list[str]) -> None:
        """Return at once, or once requests are no longer held."""
        if self.hold_after is None or texts == ["dimension"]:
            return
        with self.counting:
            self.admitted += 1
            is_early = self.admitted <= self.hold_after
        if not is_early:
            self.release.wait()

    @property
    def texts(self) -> Counter[str]:
        """How often each text was embedded."""
        return Counter(text for request in self.requests for text in request)


@contextmanager
def serving() -> Iterator[Endpoint]:
    """Serve for the length of the block."""
    endpoint = Endpoint()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Keep quiet."""

        def do_GET(self) -> None:
            described = {"id": "little", "object": "model", "created": 0, "owned_by": "tests"}
            if endpoint.max_model_len is not None:
                described["max_model_len"] = endpoint.max_model_len
            self._answer(200, described) if self.path == "/v1/models/little" else self._refuse(404, "no such path")

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            problem = _problem(self.path, self.headers.get("Authorization"), body)
            if problem is not None:
                endpoint.complaints.append(problem[1])
                self._refuse(*problem)
            elif endpoint.failures:
                status, error = endpoint.failures.pop(0)
                self._answer(status, {"error": error})
            elif any("poison" in text for text in body["input"]):
                self._refuse(400, "this input is not accepted")
            else:
                endpoint.wait_for_turn(body["input"])
                endpoint.requests.append(body["input"])
                self._answer(200, _embeddings(endpoint, body))

        def _refuse(self, status: int, message: str) -> None:
            error = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
            self._answer(status, {"error": error})

        def _answer(self, status: int, body: dict[str, Any]) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.send_header("Retry-After-Ms", "1")
            self.end_headers()
            with suppress(ConnectionError):  # its asker may have been killed
                self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    endpoint.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield endpoint
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _problem(path: str, authorization: str | None, body: dict[str, Any]) -> tuple[int, str] | None:
    if path != "/v1/embeddings":
        return 404, f"no such path: {path}"
    if authorization != f"Bearer {API_KEY}":
        return 401, "a wrong key"
    if body.get("model") != "little":
        return 404, "no such model"
    unknown = set(body) - {"model", "input", "encoding_format", "dimensions", "user"}
    if unknown or body.get("encoding_format", "float") not in ("float", "base64"):
        return 400, f"unknown fields or encoding_format: {sorted(body)}"
    texts = body.get("input")
    if not isinstance(texts, list) or not 1 <= len(texts) <= 2048 or not all(isinstance(t, str) and t for t in texts):
        return 400, "input must be 1 to 2048 strings, none of them empty"
    return None


def _embeddings(endpoint: Endpoint, body: dict[str, Any]) -> dict[str, Any]:
    data: list[dict[str, Any]] = []
    for index, text in enumerate(body["input"]):
        values: Any = vector(text)
        if body.get("encoding_format") == "base64" and not endpoint.as_lists:
            values = base64.b64encode(np.array(values, dtype="<f4").tobytes()).decode()
        data.append({"object": "embedding", "index": index, "embedding": values})
    # The order of an answer is told by its indexes alone.
    data.reverse()
    usage = {"prompt_tokens": 1, "total_tokens": 1}
    wrong = endpoint.wrong_data
    return {"object": "list", "data": data if wrong is None else wrong, "model": "little", "usage": usage}
