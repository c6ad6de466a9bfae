"""PostgreSQL (the embedded server or an external one, the connection pool, the migrations), and files of rules."""
