"""Files of artifacts as HTML that runs nothing."""

from dataclasses import dataclass
from html import escape
from pathlib import PurePosixPath
from typing import Any

import nh3
import yaml
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import TextLexer, get_lexer_by_name, get_lexer_for_filename
from pygments.util import ClassNotFound

from factory.serve.portal.mermaid import draw

_LONGEST = 300_000
_METHODS = ("get", "post", "put", "patch", "delete", "head", "options")
_TAGS = nh3.ALLOWED_TAGS | {"figure", "figcaption"}
_ATTRIBUTES = {
    **nh3.ALLOWED_ATTRIBUTES,
    "span": {"class"},
    "div": {"class"},
    "pre": {"class"},
    "code": {"class"},
    "figure": {"class"},
    "img": {"src", "alt"},
    "td": {"align", "class"},
    "th": {"align", "class", "scope"},
}
_FORMATTER: HtmlFormatter[str] = HtmlFormatter(nowrap=True, classprefix="hl-")


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation of an OpenAPI document."""

    method: str
    path: str
    summary: str
    answers: str


async def render(path: str, text: str) -> Markup:
    """Return a file as HTML: Markdown with its diagrams, everything else with its syntax highlighted."""
    if len(text) > _LONGEST:
        return Markup("<p>The file is too long to be shown; download it.</p>")
    if path.endswith(".md"):
        return await markdown(text)
    return code(path, text)


async def markdown(text: str) -> Markup:
    """Return Markdown as HTML; HTML in it is shown as text, and pictures from elsewhere are left out."""
    parser = MarkdownIt("commonmark", {"html": False, "linkify": False}).enable(["table", "strikethrough"])
    tokens = parser.parse(text)
    diagrams = [token for token in tokens if token.type == "fence" and token.info.strip() == "mermaid"]
    pictures = await draw([token.content for token in diagrams])
    drawn = {id(token): picture for token, picture in zip(diagrams, pictures, strict=True)}

    def fence_rule(_: object, tokens: list[Token], index: int, *__: Any) -> str:  # noqa: ANN401 - markdown-it's own
        token = tokens[index]
        picture = drawn.get(id(token))
        source = f"<pre><code>{escape(token.content)}</code></pre>"
        if picture is None:
            return source if token.info.strip() == "mermaid" else _code(token.info.strip(), token.content)
        return f'<figure class="diagram"><img src="{picture}" alt="{escape(token.content)}"></figure>'

    parser.add_render_rule("fence", fence_rule)
    shown: str = parser.renderer.render(tokens, parser.options, {})
    clean = nh3.clean(
        shown,
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        url_schemes={"http", "https", "mailto", "data"},
        attribute_filter=_only_own_pictures,
        link_rel="noopener noreferrer nofollow",
    )
    return Markup(clean)  # noqa: S704 - cleaned in the line before


def code(path: str, text: str) -> Markup:
    """Return a text with its syntax highlighted."""
    try:
        lexer = get_lexer_for_filename(PurePosixPath(path).name)
    except ClassNotFound:
        lexer = TextLexer()
    shown: str = highlight(text, lexer, _FORMATTER)
    return Markup(f'<pre class="code"><code>{shown}</code></pre>')  # noqa: S704 - Pygments escapes what it is given


def difference(text: str) -> Markup:
    """Return a patch with its lines coloured."""
    return Markup(_code("diff", text))  # noqa: S704 - Pygments escapes what it is given


def operations(path: str, text: str) -> list[Operation]:
    """Return the operations of an OpenAPI document; none for anything else."""
    if not path.endswith((".yaml", ".yml", ".json")) or "openapi" not in text[:2_000]:
        return []
    try:
        document = yaml.safe_load(text)
        return [
            Operation(
                method.upper(),
                str(where),
                str(one.get("summary") or one.get("operationId") or ""),
                ", ".join(map(str, one.get("responses", {}))),
            )
            for where, item in document["paths"].items()
            for method, one in item.items()
            if method in _METHODS
        ]
    except (yaml.YAMLError, AttributeError, KeyError, TypeError, RecursionError):
        return []


def _code(language: str, text: str) -> str:
    try:
        lexer = get_lexer_by_name(language) if language else TextLexer()
    except ClassNotFound:
        lexer = TextLexer()
    return f'<pre class="code"><code>{highlight(text, lexer, _FORMATTER)}</code></pre>'


def _only_own_pictures(tag: str, name: str, value: str) -> str | None:
    if tag == "img" and name == "src":
        return value if value.startswith("data:image/svg+xml;base64,") else None
    if name == "href":
        return None if value.strip().lower().startswith("data:") else value
    return value
