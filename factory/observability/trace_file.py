"""Spans as lines of OTLP JSON in a file: tracing for one machine without a collector.

Each line is one export request, the form that the OpenTelemetry Collector's `otlpjsonfile` receiver reads. It is
written here rather than by way of the SDK's protobuf messages, which takes six times as long.
"""

import json
import logging
import os
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import INVALID_SPAN_CONTEXT, StatusCode

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
    """Return an export request: ids in hexadecimal, enumerations as numbers, 64-bit integers as text.

    https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
    """
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": _attributes(resource.attributes)},
                "scopeSpans": [
                    {
                        "scope": {"name": scope.name, "version": scope.version} if scope else {},
                        "spans": [_span(span) for span in part],
                    }
                    for scope, part in groupby(group, key=lambda span: span.instrumentation_scope)
                ],
            }
            for resource, group in groupby(spans, key=lambda span: span.resource)
        ]
    }


def _span(span: ReadableSpan) -> dict[str, Any]:
    context = span.context or INVALID_SPAN_CONTEXT
    told: dict[str, Any] = {
        "traceId": f"{context.trace_id:032x}",
        "spanId": f"{context.span_id:016x}",
        "name": span.name,
        # The SDK counts its kinds from 0, OTLP from 1.
        "kind": span.kind.value + 1,
        "startTimeUnixNano": str(span.start_time),
        "endTimeUnixNano": str(span.end_time),
        "attributes": _attributes(span.attributes or {}),
    }
    if span.parent:
        told["parentSpanId"] = f"{span.parent.span_id:016x}"
    if span.links:
        told["links"] = [
            {"traceId": f"{link.context.trace_id:032x}", "spanId": f"{link.context.span_id:016x}"}
            for link in span.links
        ]
    if span.status.status_code is not StatusCode.UNSET:
        told["status"] = {"code": span.status.status_code.value, "message": span.status.description or ""}
    return told


def _attributes(attributes: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": name, "value": _value(value)} for name, value in attributes.items()]


def _value(value: object) -> dict[str, Any]:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case _:
            return {"stringValue": str(value)}
