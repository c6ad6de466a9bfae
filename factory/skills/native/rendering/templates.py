"""Jinja2 environments: one for Markdown, which escapes by default, and one for text that is code."""

import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from factory.skills.native.rendering import markdown


def markdown_environment(folder: Path) -> Environment:
    """Return an environment whose templates are Markdown.

    Every printed value is escaped for Markdown unless it is `Markup`; an undefined name is an error.
    """
    environment = Environment(
        loader=FileSystemLoader(folder),
        undefined=StrictUndefined,
        autoescape=True,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        code=markdown.code,
        codes=markdown.codes,
        quote=markdown.quote,
        mermaid=markdown.mermaid,
        anchor=markdown.anchor,
    )
    return environment


def render_markdown(environment: Environment, template: str, **values: object) -> str:
    """Render a Markdown template, with no trailing spaces and never more than one blank line."""
    text = environment.get_template(template).render(**values)
    return re.sub(r"\n{3,}", "\n\n", re.sub(r"[ \t]+\n", "\n", text)).strip() + "\n"


def code_environment(folder: Path) -> Environment:
    """Return an environment whose templates are code or YAML; values are printed as they are.

    Only values with a closed alphabet (slugs, package names, numbers) may reach such a template.
    """
    return Environment(
        loader=FileSystemLoader(folder),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 - the templates are YAML and Dockerfiles, not HTML
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _finalize(value: object) -> object:
    if isinstance(value, Markup):
        return value
    return markdown.escape(value)
