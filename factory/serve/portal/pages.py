"""Templates, and what every page carries."""

from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from fastapi.templating import Jinja2Templates

from factory.serve.portal.sessions import Session

FOLDER = Path(__file__).parent
# Nothing comes from elsewhere, nothing in a page runs, and pictures may be part of it.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {"Content-Security-Policy": _POLICY, "Referrer-Policy": "same-origin"}
_templates = Jinja2Templates(FOLDER / "templates")


def page(
    request: Request,
    template: str,
    session: Session | None = None,
    status: HTTPStatus = HTTPStatus.OK,
    /,
    **values: Any,  # noqa: ANN401 - what the template shows
) -> HTMLResponse:
    """Return a page; every text in it is escaped by the template."""
    context: Mapping[str, Any] = {"session": session, **values}
    return _templates.TemplateResponse(request, f"{template}.html", dict(context), status.value, _HEADERS)
