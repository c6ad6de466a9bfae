"""GraphQL: what is asked for and no more, within limits, held to what the caller may see."""

from typing import Any

import pytest

from tests.serve.conftest import Office

PATH = "/api/v1/graphql"


async def test_projects_come_with_what_is_asked_for(office: Office) -> None:
    project = await office.project()
    await office.artifact(project, {"docs/backlog.md": "one\n"})
    query = """query ($first: Int!) { projects(first: $first) { next items { name steps { step status }
        artifacts(kinds: ["backlog"]) { kind version files { path text } lineage { kind } }
        events { items { type } } } } }"""
    answer = await office.post(PATH, {"query": query, "variables": {"first": 5}}, office.ada)
    assert answer.status_code == 200, answer.text
    (item,) = answer.json()["data"]["projects"]["items"]
    assert item["name"] == "Clinic"
    assert item["artifacts"] == [
        {
            "kind": "backlog",
            "version": 1,
            "files": [{"path": "docs/backlog.md", "text": "one\n"}],
            "lineage": [{"kind": "backlog"}, {"kind": "vision"}],
        }
    ]
    assert item["events"]["items"] == [{"type": "ProjectCreated"}]


async def test_what_is_another_tenants_is_not_found(office: Office) -> None:
    project = await office.project()
    artifact = await office.vision_of(project)
    for query in (f'{{ project(id: "{project.id}") {{ name }} }}', f'{{ artifact(id: "{artifact}") {{ hash }} }}'):
        answer = await office.post(PATH, {"query": query}, office.eve)
        assert answer.json()["data"] is None
        assert answer.json()["errors"][0]["extensions"]["code"] == "NOT_FOUND"
    listed = await office.post(PATH, {"query": "{ projects { items { id } } }"}, office.eve)
    assert listed.json()["data"]["projects"]["items"] == []


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ('{ projects(first: 100) { items { versions(kind: "x", first: 100) { id kind } } } }', "costs"),
        ("{" + "".join(f"a{n}: projects {{ next }} " for n in range(30)) + "}", "aliases"),
        ("{ projects { items { artifacts { " + "lineage { " * 9 + "id" + " }" * 9 + "} } } }", "depth"),
        ("{" * 3000 + "}" * 3000, "cannot be read"),
        ("query { ...A } fragment A on Query { ...B } fragment B on Query { ...A }", "costs"),
        ("{ nothing }", "Cannot query field"),
        ('{ project(id: "1") { id } }', "no id"),
        ("{ projects(first: 0) { next } }", "Give 1 to 100"),
    ],
)
async def test_what_asks_for_too_much_is_refused_before_it_runs(office: Office, query: str, said: str) -> None:
    answer = await office.post(PATH, {"query": query}, office.ada)
    assert answer.status_code in {200, 400, 422}
    assert said in answer.text
    assert "Traceback" not in answer.text


async def test_only_a_post_of_json_with_a_token_is_answered(office: Office) -> None:
    query = "{ projects { next } }"
    assert (await office.get(f"{PATH}?query={query}", office.ada)).status_code == 405
    assert (await office.post(PATH, {"query": query})).status_code == 401
    assert (await office.post(PATH, [{"query": query}, {"query": query}], office.ada)).status_code == 422
    form = await office.client.post(PATH, data={"query": query}, headers={"Authorization": f"Bearer {office.ada}"})
    assert form.status_code == 422


async def test_a_list_with_artifacts_costs_a_constant_number_of_statements(office: Office) -> None:
    query = {"query": "{ projects(first: 50) { items { id artifacts { id } } } }"}
    statements: list[str] = []
    pool: Any = office.gateway.database._open_pool()  # noqa: SLF001 - to watch what is sent
    counts = []
    for _ in range(2):
        for number in range(6):
            await office.project(name=f"P{number}")
        await office.post(PATH, query, office.ada)
        statements.clear()
        for holder in pool._holders:  # noqa: SLF001 - same
            if holder._con is not None:  # noqa: SLF001 - same
                holder._con.add_query_logger(lambda record: statements.append(record.query))  # noqa: SLF001 - same
        await office.post(PATH, query, office.ada)
        counts.append(sum("FROM artifact a" in statement for statement in statements))
        for holder in pool._holders:  # noqa: SLF001 - same
            if holder._con is not None:  # noqa: SLF001 - same
                holder._con._query_loggers.clear()  # noqa: SLF001 - same
    assert counts == [1, 1]
