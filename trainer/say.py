"""What the trainer tells the person who waits: lines on stderr, never a comment's text."""

import click


def say(line: str) -> None:
    """Print one line of progress on stderr."""
    click.echo(line, err=True)
