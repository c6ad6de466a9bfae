"""Mermaid diagrams as pictures. Run as a program, it draws those of its standard input; it then has a process to lose.

Diagrams come from anybody's artifacts: they are drawn in a process of their own, which is ended when it takes too long,
and shown as images, in which no browser runs anything.
"""

import asyncio
import base64
import hashlib
import json
import sys
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress

_PATIENCE_SECONDS = 20
_LONGEST = 20_000
_MOST = 20
_REMEMBERED = 500
_drawn: OrderedDict[str, str | None] = OrderedDict()
# One at a time: drawing takes half a second of a core.
_drawing = asyncio.Semaphore(1)


async def draw(sources: Sequence[str]) -> list[str | None]:
    """Return each diagram as the address of a picture (a `data:` URL); None for what cannot be drawn."""
    keys = [hashlib.sha256(source.encode()).hexdigest() for source in sources]
    missing = {
        key: source
        for key, source in zip(keys[:_MOST], sources, strict=False)
        if key not in _drawn and len(source) <= _LONGEST
    }
    if missing:
        async with _drawing:
            pictures = await _draw(list(missing.values()))
        for key, picture in zip(missing, pictures, strict=True):
            _drawn[key] = picture
        while len(_drawn) > _REMEMBERED:
            _drawn.popitem(last=False)
    return [_drawn.get(key) for key in keys]


async def _draw(sources: list[str]) -> list[str | None]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        __name__,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={},
    )
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            output, _ = await process.communicate(json.dumps(sources).encode())
        found: list[str | None] = json.loads(output)
    except (TimeoutError, ValueError):
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        return [None] * len(sources)
    return found


def main() -> None:
    """Draw the diagrams of standard input, a JSON list, and answer with a list of pictures."""
    from mermaidx import Diagram  # noqa: PLC0415 - loaded by the process that draws, and by no other

    pictures: list[str | None] = []
    for source in json.load(sys.stdin):
        try:
            svg = Diagram(source).svg()
        except Exception:  # noqa: BLE001 - whatever an engine of another language raises
            pictures.append(None)
            continue
        pictures.append("data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode())
    json.dump(pictures, sys.stdout)


if __name__ == "__main__":
    main()
