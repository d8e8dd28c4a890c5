"""Work that goes on after Slack was answered."""
