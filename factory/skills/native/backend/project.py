"""Which files a service consists of."""

from factory.skills.native.backend.render import Renderer, formatted
from factory.skills.native.backend.seeds import seed_views
from factory.skills.native.backend.service import service_view
from factory.skills.native.backend.tables import migration
from factory.skills.native.backend.testing import resource_case
from factory.skills.native.backend.views import ServiceView
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
    "samples.py",
    "settings.py",
)
_TESTS = (
    "checks.py",
    "conftest.py",
    "test_authentication.py",
    "test_commands.py",
    "test_contract.py",
    "test_http.py",
    "test_layers.py",
    "test_migration.py",
    "test_permissions.py",
    "test_relay.py",
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
        renderer.add(path, path, example_path=_example_path(service))
    renderer.files[f"{source}/py.typed"] = ""
    for path in _STATIC:
        renderer.add(f"src/package/{path}", f"{source}/{path}")
    if service.enums:
        renderer.add("src/package/domain/enums.py", f"{source}/domain/enums.py")
    renderer.add(
        "migrations/versions/0001_initial.py", "migrations/versions/0001_initial.py", migration=migration(design)
    )
    for resource in service.resources:
        tables = f"{source}/persistence/tables/{resource.module}.py"
        renderer.add("src/package/persistence/tables/entity.py", tables, resource=resource)
        if resource.has_domain:
            renderer.add(
                "src/package/domain/entity.py", f"{source}/domain/{resource.domain_module}.py", resource=resource
            )
        if resource.query_names:
            path = f"{source}/persistence/{resource.router}.py"
            renderer.add("src/package/persistence/resource.py", path, resource=resource)
        if resource.endpoints:
            renderer.add("src/package/api/resource.py", f"{source}/api/{resource.router}.py", resource=resource)
            path = f"{source}/api/schemas/{resource.router}.py"
            renderer.add("src/package/api/schemas/resource.py", path, resource=resource)
    renderer.add("src/package/seed.py", f"{source}/seed.py", seeds=seed_views(design))
    _add_tests(renderer, design, service)
    return formatted(renderer.files)


def _example_path(service: ServiceView) -> str:
    """Return a path that the first role may read, for the README."""
    role = service.roles[0]["name"]
    lists = (
        one.path for one in service.endpoints if one.method == "get" and "{id}" not in one.path and role in one.roles
    )
    return next(lists, "/health/ready")


def _add_tests(renderer: Renderer, design: ServiceDesign, service: ServiceView) -> None:
    cases = [
        resource_case(design, resource, view)
        for resource, view in zip(design.resources, service.resources, strict=True)
    ]
    for path in _TESTS:
        if path == "test_permissions.py" and not service.endpoints:
            continue
        renderer.add(f"tests/{path}", f"tests/{path}")
    renderer.add("tests/factories.py", "tests/factories.py", cases=cases)
    names = [name for case in cases for name in case.factory.exports]
    for case in cases:
        if case.endpoints:
            path = f"tests/api/test_{case.view.router}_api.py"
            renderer.add("tests/api/test_resource.py", path, case=case, factory_names=names)
        if case.view.has_domain:
            path = f"tests/rules/test_{case.view.domain_module}_rules.py"
            renderer.add("tests/rules/test_entity.py", path, case=case)
