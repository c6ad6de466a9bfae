"""Which files a service consists of."""

from factory.skills.native.backend.render import Renderer, formatted
from factory.skills.native.backend.service import service_view
from factory.skills.native.backend.tables import migration
from factory.skills.native.service_design.design import ServiceDesign

_STATIC = (
    "domain/__init__.py",
    "domain/errors.py",
    "domain/formats.py",
    "domain/permissions.py",
    "domain/roles.py",
    "persistence/__init__.py",
    "persistence/base.py",
    "persistence/database.py",
    "persistence/queries.py",
    "persistence/tables/__init__.py",
    "persistence/tables/outbox.py",
    "events/__init__.py",
    "events/messages.py",
    "events/outbox.py",
    "events/relay.py",
    "events/sinks.py",
    "api/__init__.py",
    "api/app.py",
    "api/auth.py",
    "api/database.py",
    "api/health.py",
    "api/middleware.py",
    "api/problems.py",
    "api/types.py",
    "api/schemas/__init__.py",
    "__init__.py",
    "cli.py",
    "logs.py",
    "seed.py",
    "settings.py",
)
_ROOT = (
    ".env.example",
    ".gitignore",
    "Makefile",
    "README.md",
    "alembic.ini",
    "migrations/env.py",
    "migrations/script.py.mako",
    "pyproject.toml",
    "requirements.txt",
)


def project_files(design: ServiceDesign) -> dict[str, str]:
    """Return every file of the service by path; equal designs give equal bytes."""
    service = service_view(design)
    renderer = Renderer(service)
    source = f"src/{service.package}"
    for path in _ROOT:
        renderer.add(path, path)
    renderer.files[f"{source}/py.typed"] = ""
    for path in _STATIC:
        renderer.add(f"src/package/{path}", f"{source}/{path}")
    if service.enums:
        renderer.add("src/package/domain/enums.py", f"{source}/domain/enums.py")
    renderer.add("migrations/versions/0001_initial.py", "migrations/versions/0001_initial.py", migration=migration(design))
    for resource in service.resources:
        tables = f"{source}/persistence/tables/{resource.module}.py"
        renderer.add("src/package/persistence/tables/entity.py", tables, resource=resource)
        if resource.has_domain:
            renderer.add("src/package/domain/entity.py", f"{source}/domain/{resource.domain_module}.py", resource=resource)
        if resource.query_names:
            path = f"{source}/persistence/{resource.router}.py"
            renderer.add("src/package/persistence/resource.py", path, resource=resource)
        if resource.endpoints:
            renderer.add("src/package/api/resource.py", f"{source}/api/{resource.router}.py", resource=resource)
            path = f"{source}/api/schemas/{resource.router}.py"
            renderer.add("src/package/api/schemas/resource.py", path, resource=resource)
    return formatted(renderer.files)
