"""What agents can do: skills, the catalogue that finds them and the planner that chooses."""
