"""What the trainer tells the person who waits: lines on stderr, never a comment's text."""

import os

import click


def say(line: str) -> None:
    """Print one line of progress on stderr; of many processes only the first speaks."""
    if os.environ.get("RANK", "0") == "0":
        click.echo(line, err=True)
