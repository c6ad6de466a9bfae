"""The figures as tables."""

from typing import Any

from rich.console import Console
from rich.table import Table

_NOT_CONTESTANTS = ("machine", "plan")


def show(found: dict[str, Any]) -> None:
    """Print what was found."""
    console = Console()
    plan, machine = found["plan"], found["machine"]
    contestants = {name: figure for name, figure in found.items() if name not in _NOT_CONTESTANTS}
    measured = {name: figure for name, figure in contestants.items() if not isinstance(figure, str)}
    title = f"{plan['size']:,} vectors of {plan['dimension']} dimensions, median of {plan['rounds']} round(s)"
    console.print(_table(title, _SEARCHES, measured))
    for name in ("50 %", "1 %", "0.01 %"):
        filtered = {who: figure["filtered"][name] for who, figure in measured.items()}
        console.print(_table(f"Filter that selects {name}", _SEARCHES, filtered))
    console.print(_table("Building (s), size (MiB), restart (s), insert to searchable (ms)", _COSTS, measured))
    for name, figure in contestants.items():
        if isinstance(figure, str):
            console.print(f"{name}: {figure}", highlight=False, markup=False)
    console.print(
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB; "
        f"load before: {machine['load_before']}; Python {machine['python']}",
        highlight=False,
    )


_SEARCHES = {
    "recall": ("recall", ".4f"),
    "q/s": ("queries_per_second", ",.0f"),
    "q/CPU s": ("queries_per_cpu_second", ",.0f"),
    "batch q/s": ("batch_queries_per_second", ",.0f"),
    "q/CPU s ": ("batch_queries_per_cpu_second", ",.0f"),
    "p50 ms": ("p50_ms", ".2f"),
    "p99 ms": ("p99_ms", ".2f"),
    "knob": ("effort", ".0f"),
}
_COSTS = {
    "build": ("build_seconds", ",.1f"),
    "CPU s": ("build_cpu_seconds", ",.1f"),
    "disk": ("disk_mib", ",.0f"),
    "MiB": ("memory_mib", ",.0f"),
    "private": ("private_memory_mib", ",.0f"),
    "start s": ("restart_seconds", ".2f"),
    "write p50": ("insert_to_searchable_ms/p50", ".1f"),
    "p99": ("insert_to_searchable_ms/p99", ".1f"),
}


def _table(title: str, columns: dict[str, tuple[str, str]], rows: dict[str, Any]) -> Table:
    table = Table(title=title)
    table.add_column("")
    for column in columns:
        table.add_column(column, justify="right")
    for name, figure in rows.items():
        table.add_row(name, *(_shown(figure, path, form) for path, form in columns.values()))
    return table


def _shown(figure: dict[str, Any], path: str, form: str) -> str:
    value: Any = figure
    for part in path.split("/"):
        value = value[part]
    return "" if value is None else format(value, form)
