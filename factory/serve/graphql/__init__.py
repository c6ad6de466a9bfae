"""GraphQL over projects, artifacts, lineage, events, tasks and escalations (R31)."""

from factory.serve.graphql.route import router

__all__ = ["router"]
