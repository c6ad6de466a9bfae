"""Recovery: what an error means, and whether and when to try again."""
