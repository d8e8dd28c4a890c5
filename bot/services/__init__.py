"""What a user can do, one verb each."""
