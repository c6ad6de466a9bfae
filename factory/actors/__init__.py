"""Agents as pools of Ray actors, and the supervisors that feed them."""
