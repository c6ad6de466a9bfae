"""Places in lists, handed to clients as text that they can give back and not make up."""

import base64
import hashlib
import hmac
import json
from binascii import Error as Base64Error
from http import HTTPStatus
from typing import Any

from factory.serve.problems import HttpError

_SIGNATURE_BYTES = 16
_LONGEST = 1_000


class Cursors:
    """Signs and reads cursors.

    A cursor holds for one list, with its filters, and for whom it was made: another's is refused.

    Args:
        secret: The same on every replica.
    """

    def __init__(self, secret: bytes) -> None:
        self._key = hmac.digest(secret, b"cursors", hashlib.sha256)

    def write(self, place: Any, *bound: object) -> str:  # noqa: ANN401 - any JSON value
        """Return a cursor.

        Args:
            place: Where the list goes on, as a JSON value.
            bound: What it holds for: the subject, the list, its filters.
        """
        body = json.dumps(place, separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(self._sign(body, bound) + body).rstrip(b"=").decode()

    def read(self, cursor: str, *bound: object) -> Any:  # noqa: ANN401 - any JSON value
        """Return the place that a cursor stands for.

        Raises:
            HttpError: It was not made here, or for something else (400).
        """
        body = self._body(cursor[:_LONGEST], bound)
        if body is None:
            raise HttpError(
                HTTPStatus.BAD_REQUEST,
                "the cursor was not made for this list.",
                remedy="Take `next` of the page before, with the same filters and the same identity.",
                field="cursor",
            )
        return json.loads(body)

    def _body(self, cursor: str, bound: tuple[object, ...]) -> bytes | None:
        try:
            raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        except (ValueError, Base64Error):
            return None
        signature, body = raw[:_SIGNATURE_BYTES], raw[_SIGNATURE_BYTES:]
        return body if hmac.compare_digest(signature, self._sign(body, bound)) else None

    def _sign(self, body: bytes, bound: tuple[object, ...]) -> bytes:
        meant = "\x1f".join(map(str, bound)).encode()
        return hmac.digest(self._key, len(meant).to_bytes(4, "big") + meant + body, hashlib.sha256)[:_SIGNATURE_BYTES]
