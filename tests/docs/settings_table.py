"""Writes the README's table of settings from the settings' own descriptions.

Run `python -m tests.docs.settings_table` after changing a setting.
"""

import inspect
import re
from datetime import timedelta
from pathlib import Path

from pydantic.fields import FieldInfo

from factory.settings import Settings

README = Path(__file__).parents[2] / "README.md"


def settings_table() -> str:
    """Return the table in Markdown: variable, default, meaning."""
    described = dict(re.findall(r"^    (\w+): (.+)$", inspect.getdoc(Settings) or "", re.MULTILINE))
    rows = [
        f"| `FACTORY_{name.upper()}` | {_default(name, field)} | {described[name]} |"
        for name, field in Settings.model_fields.items()
    ]
    return "\n".join(["| variable | default | meaning |", "|---|---|---|", *rows])


def _default(name: str, field: FieldInfo) -> str:
    if name == "data_dir":
        return "`~/.local/share/factory`"
    value = field.get_default(call_default_factory=True, validated_data={})
    if isinstance(value, timedelta):
        return f"`P{value.days}D`" if value.days else f"`{value.seconds}`"
    if value is None or value in ({}, ()):
        return "none"
    return f"`{value}`"


def main() -> None:
    """Put the table between its marks."""
    text = README.read_text(encoding="utf-8")
    before, _, rest = text.partition("<!-- settings -->\n")
    _, _, after = rest.partition("<!-- /settings -->")
    README.write_text(f"{before}<!-- settings -->\n{settings_table()}\n<!-- /settings -->{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
