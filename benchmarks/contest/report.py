"""The figures as tables."""

from typing import Any

from rich.console import Console
from rich.table import Table


def show(found: dict[str, Any]) -> None:
    """Print what was found."""
    console = Console()
    if "steps_per_second" in found:
        console.print(_contest(found))
    if "model_calls" in found:
        console.print(_model_calls(found["model_calls"]))
    if "growth" in found:
        growth = found["growth"]
        behind = f"{growth['deliveries']:,} finished deliveries and {growth['events']:,} logged events behind"
        console.print(_pair(growth, "empty", "full", behind))
    if "telemetry" in found:
        console.print(_pair(found["telemetry"], "silent", "telling", "What traces and figures leave of the throughput"))
    machine = found["machine"]
    console.print(
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB; "
        f"load before: {machine['load_before']}; Python {machine['python']}",
        highlight=False,
    )
    console.print(", ".join(f"{name}={value}" for name, value in machine["postgresql"].items()), highlight=False)


def _contest(found: dict[str, Any]) -> Table:
    title = f"Chains of {found['steps']} durable steps, median of {found['rounds']} round(s)"
    table = Table(title=title, caption="In brackets: the slowest and the fastest round.")
    for column in ("", "steps/s at saturation", "factory does", "chain alone p50", "p95", "p99", "per step"):
        table.add_column(column, justify="right" if column else "left")
    for name, rate in found["steps_per_second"].items():
        if isinstance(rate, str):
            table.add_row(name, rate)
            continue
        chain = found["details"][name]["chain"]
        ratio = found["ratios"].get(f"factory/{name}")
        table.add_row(
            name,
            _with_spread(found["details"][name]["throughput"], "steps_per_second", ",.0f"),
            f"{ratio:.1f} times" if ratio else "",
            _with_spread(chain, "p50", ".1f") + " ms",
            f"{chain['p95']:.1f} ms",
            f"{chain['p99']:.1f} ms",
            f"{chain['per_step']:.2f} ms",
        )
    return table


def _model_calls(figure: dict[str, float]) -> Table:
    table = Table("steps/s", "ideal", "share", title="1,000 projects at once, a model call of 2 s in every step")
    table.add_row(_with_spread(figure, "steps_per_second", ".1f"), f"{figure['ideal']:.0f}", f"{figure['share']:.1%}")
    return table


def _pair(figures: dict[str, Any], first: str, second: str, title: str) -> Table:
    table = Table("", "steps/s", "rounds", title=title)
    for name in (first, second):
        table.add_row(name, f"{figures['median'][name]:,.0f}", "  ".join(f"{rate:,.0f}" for rate in figures[name]))
    low, high = min(figures["shares"]), max(figures["shares"])
    table.caption = f"{second} / {first} = {figures['share']:.1%} ({low:.1%} to {high:.1%})"
    return table


def _with_spread(figure: dict[str, float], name: str, form: str) -> str:
    text = format(figure[name], form)
    if f"{name}_min" not in figure:
        return text
    return f"{text} ({figure[f'{name}_min']:{form}} to {figure[f'{name}_max']:{form}})"
