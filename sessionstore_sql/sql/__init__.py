"""The engine room: everything that sees a database connection."""
