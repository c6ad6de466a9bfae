"""Figures of the gateway for people."""

from typing import Any

from rich.console import Console
from rich.table import Table


def show(found: dict[str, Any]) -> None:
    """Print figures as tables."""
    console = Console()
    if "versus" in found:
        console.print(_versus(found["versus"]))
    for name in ("streams", "soak"):
        if name in found:
            table = Table("", "", title=name)
            for key, value in found[name].items():
                table.add_row(key.replace("_", " "), f"{value:,.1f}" if isinstance(value, float) else str(value))
            console.print(table)
    about = found["machine"]
    console.print(f"{about['cpu']}, {about['cores']} cores; load before: {about['load_before']}", highlight=False)


def _versus(found: dict[str, Any]) -> Table:
    table = Table("", "p50 ms", "p99 ms", "requests/s", "together p50 ms", "together p99 ms")
    for name in ("hello", "gateway"):
        one = found[name]
        table.add_row(
            name,
            f"{one['p50_ms']:.2f}",
            f"{one['p99_ms']:.2f}",
            f"{one['requests_per_second']:,.0f}",
            f"{one['crowd_p50_ms']:.1f}",
            f"{one['crowd_p99_ms']:.1f}",
        )
    ratio = found["ratio"]
    table.add_row("gateway / hello", f"{ratio['latency']:.2f}", "", f"{ratio['throughput']:.2f}", "", "")
    return table
