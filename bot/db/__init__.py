"""PostgreSQL: the engine, the tables, the types, and the server we can bring along."""
