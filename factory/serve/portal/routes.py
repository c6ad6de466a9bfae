"""The portal's pages put together: static files, pages, and errors that people can read."""

from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from factory.domain.errors import FactoryError
from factory.serve import problems
from factory.serve.facts import facts_of
from factory.serve.portal import doors, people, projects, work
from factory.serve.portal.pages import FOLDER, page

# Everything else is the API's: for programs.
_PAGES = (
    "/sign-",
    "/visions",
    "/projects",
    "/artifacts",
    "/approvals",
    "/dead-letters",
    "/memory",
    "/agents",
    "/usage",
    "/audit",
)
_home = APIRouter(include_in_schema=False)


@_home.get("/")
async def home() -> RedirectResponse:
    """Begin with the projects."""
    return RedirectResponse("/projects", HTTPStatus.SEE_OTHER)


def install(app: FastAPI) -> None:
    """Add the portal to an application."""
    _answer_people(app)
    app.mount("/static", StaticFiles(directory=FOLDER / "static"))
    for router in (_home, doors.router, projects.router, work.router, people.router):
        app.include_router(router)


def _answer_people(app: FastAPI) -> None:
    """Let errors of pages be pages; programs get what they got before."""
    for_programs = dict(app.exception_handlers)

    @app.exception_handler(FactoryError)
    async def expected(request: Request, error: FactoryError) -> Response:
        if is_page(request):
            return of_error(request, error)
        return await _before(for_programs[FactoryError], request, error)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        if is_page(request):
            return error_page(request, HTTPStatus.NOT_FOUND, "there is nothing at this address.")
        return await _before(for_programs[RequestValidationError], request, error)

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        if is_page(request):
            status = HTTPStatus(error.status_code)
            return error_page(request, status, status.description or status.phrase)
        return await _before(for_programs[HTTPException], request, error)

    @app.exception_handler(Exception)
    async def broken(request: Request, error: Exception) -> Response:
        answer = await _before(for_programs[Exception], request, error)
        if is_page(request):
            return error_page(request, HTTPStatus.INTERNAL_SERVER_ERROR, "the factory failed; this is not your fault.")
        return answer


async def _before(handler: Any, request: Request, error: Exception) -> Response:  # noqa: ANN401 - of any kind of error
    answer: Response = await handler(request, error)
    return answer


def is_page(request: Request) -> bool:
    """Tell whether an answer is for people."""
    path = request.url.path
    return path == "/" or path.startswith(_PAGES)


def of_error(request: Request, error: FactoryError) -> Response:
    """Return an error as a page."""
    answer = problems.of_error(request, error)
    location = answer.headers.get("location")
    if location is not None:
        return RedirectResponse(location, HTTPStatus.SEE_OTHER)
    status = HTTPStatus(answer.status_code)
    return error_page(request, status, error.message, error.remedy)


def error_page(request: Request, status: HTTPStatus, detail: str, remedy: str = "") -> HTMLResponse:
    """Return what went wrong as a page."""
    values = {"title": status.phrase, "detail": detail, "remedy": remedy, "audit_id": facts_of(request.scope).id}
    return page(request, "error", None, status, **values)
