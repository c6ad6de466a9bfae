"""Alembic's entry. It only renders SQL; `factory.storage.migrate` runs what it renders."""

from alembic import context

# Named parameters keep the percent signs of SQL as they are.
context.configure(dialect_name="postgresql", dialect_opts={"paramstyle": "named"}, transaction_per_migration=True)
with context.begin_transaction():
    context.run_migrations()
