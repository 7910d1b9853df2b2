"""Comments in, verdicts out. Runs for ever."""
