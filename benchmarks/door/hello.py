"""The least that FastAPI on Ray Serve can do."""

from typing import Any

from fastapi import FastAPI
from ray import serve

_app = FastAPI()


@serve.deployment(name="hello", max_ongoing_requests=2_000)
@serve.ingress(_app)
class Hello:
    """Answers with a constant."""

    @_app.get("/")
    async def hello(self) -> dict[str, str]:
        """Say hello."""
        return {"hello": "world"}


def hello_application(replicas: int) -> serve.Application:
    """Return the application, with the options of the gateway."""
    deployment: Any = Hello
    application: serve.Application = deployment.options(
        num_replicas=replicas,
        ray_actor_options={"num_cpus": 0},
        logging_config={"enable_access_log": False, "log_level": "WARNING"},
    ).bind()
    return application
