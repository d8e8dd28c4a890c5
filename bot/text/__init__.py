"""Pure functions on text: no network, no files, no database."""
