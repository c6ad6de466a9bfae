"""Spans as lines of OTLP JSON in a file: tracing for one machine without a collector.

Each line is one export request, the form that the OpenTelemetry Collector's `otlpjsonfile` receiver reads.
"""

import base64
import json
import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from factory.observability.rotation import move_aside

_ROTATE_AT_BYTES = 64 * 1024 * 1024
_logger = logging.getLogger(__name__)


class TraceFileExporter(SpanExporter):
    """Appends spans to a file that several processes may share: one write per line, so that lines never mix.

    A file that has grown large is moved aside, to its name with `.1`; one older file is kept.
    """

    def __init__(self, path: Path, *, rotate_at: int = _ROTATE_AT_BYTES) -> None:
        self._path = path
        self._rotate_at = rotate_at

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Append one line; a file that cannot be written is logged and costs these spans."""
        line = (json.dumps(_otlp_json(spans), separators=(",", ":")) + "\n").encode()
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(descriptor, line)
                move_aside(self._path, descriptor, at_bytes=self._rotate_at)
            finally:
                os.close(descriptor)
        except OSError as error:
            _logger.warning("spans could not be written to %s: %s", self._path, error)
            return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS


def _otlp_json(spans: Sequence[ReadableSpan]) -> dict[str, Any]:
    """Return OTLP JSON, which unlike protobuf's own JSON writes ids in hexadecimal and enums as numbers."""
    request: dict[str, Any] = MessageToDict(encode_spans(spans), use_integers_for_enums=True)
    for holder in _id_holders(request):
        for name in ("traceId", "spanId", "parentSpanId"):
            if name in holder:
                holder[name] = base64.b64decode(holder[name]).hex()
    return request


def _id_holders(request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for resource in request["resourceSpans"]:
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                yield span
                yield from span.get("links", ())
