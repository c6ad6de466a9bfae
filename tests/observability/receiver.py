"""An OTLP/HTTP receiver."""

import gzip
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class Receiver:
    """A collector that keeps the spans it is sent, and of each figure what it was told last."""

    def __init__(self) -> None:
        spans: list[Span] = []
        services: set[str] = set()
        metrics: dict[str, Metric] = {}

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                if self.path == "/v1/metrics":
                    figures = ExportMetricsServiceRequest.FromString(body).resource_metrics
                    metrics.update(
                        {one.name: one for it in figures for part in it.scope_metrics for one in part.metrics}
                    )
                else:
                    assert self.path == "/v1/traces"
                    self.keep(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.send_header("content-type", "application/x-protobuf")
                self.end_headers()

            def keep(self, request: ExportTraceServiceRequest) -> None:
                for resource in request.resource_spans:
                    for attribute in resource.resource.attributes:
                        if attribute.key == "service.name":
                            services.add(attribute.value.string_value)
                    for scope in resource.scope_spans:
                        spans.extend(scope.spans)

            def log_message(self, *_: object) -> None:
                pass

        self.spans = spans
        self.services = services
        self.metrics = metrics
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def named(self, name: str) -> Span:
        (span,) = [span for span in self.spans if span.name == name]
        return span
