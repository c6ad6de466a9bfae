"""The control plane: projects, blueprints, the coordinator that decides and the orchestrator that acts."""
