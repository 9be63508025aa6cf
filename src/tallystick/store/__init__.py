"""PostgreSQL: the pool, the embedded server, the schema's migrations, and monthly partitions."""
