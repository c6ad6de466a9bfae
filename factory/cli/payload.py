"""Payloads that a person gives: on the command line, in a file, on standard input, or in an editor."""

import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from factory.domain.errors import BadInputError, ConflictError

_EDITOR = "vi"


def read_payload(given: str) -> dict[str, Any]:
    """Return a payload given as JSON, as `@FILE`, or as `-` for standard input.

    Raises:
        BadInputError: It cannot be read, or is not a JSON object.
    """
    if given == "-":
        return _parsed(sys.stdin.read())
    if not given.startswith("@"):
        return _parsed(given)
    try:
        return _parsed(Path(given[1:]).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(
            f"{given[1:]} cannot be read: {error}.", remedy="Give @FILE with a JSON file.", field="payload"
        ) from error


def edit_payload(present: Mapping[str, Any]) -> dict[str, Any]:
    """Let a person edit a payload in $VISUAL or $EDITOR, on a terminal.

    Raises:
        BadInputError: There is no terminal, the editor cannot be run, or the result is not a JSON object.
        ConflictError: Nothing was changed.
    """
    if not sys.stdin.isatty():
        raise BadInputError(
            "there is no payload, and no terminal to edit one on.", remedy="Give --payload.", field="payload"
        )
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or _EDITOR
    before = json.dumps(present, ensure_ascii=False, indent=2) + "\n"
    with tempfile.TemporaryDirectory(prefix="factory-") as folder:
        path = Path(folder) / "payload.json"
        path.write_text(before, encoding="utf-8")
        try:
            # The person's own choice of editor, which may have arguments.
            subprocess.run([*shlex.split(editor), str(path)], check=True)  # noqa: S603
        except (OSError, ValueError, subprocess.CalledProcessError) as error:
            raise BadInputError(
                f"the editor {editor!r} failed: {error}.", remedy="Set EDITOR, or give --payload.", field="payload"
            ) from error
        after = path.read_text(encoding="utf-8")
    if after == before:
        raise ConflictError("nothing was changed.", field="payload")
    return _parsed(after)


def _parsed(text: str) -> dict[str, Any]:
    try:
        payload = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadInputError(
            f"the payload is not JSON: {error}.", remedy="Give one JSON object.", field="payload"
        ) from error
    if not isinstance(payload, dict):
        raise BadInputError(
            f"the payload is a {type(payload).__name__}, not an object.",
            remedy="Give one JSON object.",
            field="payload",
        )
    return payload
