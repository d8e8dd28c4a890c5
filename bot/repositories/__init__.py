"""Every SQL statement, by the table it speaks of."""
