"""The internal API (R30): for the factory's own services alone; for anybody else it does not exist."""
