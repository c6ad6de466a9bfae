"""Events: the envelope, the contracts, and the bus that publishes and delivers them inside PostgreSQL."""
