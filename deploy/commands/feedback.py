"""`tidegate feedback`."""

from pathlib import Path
from typing import BinaryIO

import click

from deploy.commands.flags import CONFIG
from deploy.feedback import Rows
from schemas.wire import encode
from worker.settings import load_settings


@click.command("feedback")
@CONFIG
@click.option(
    "--out",
    type=click.File("wb", lazy=True),
    default="-",
    metavar="FILE",
    help="A file ending in .jsonl.  [default: stdout]",
)
@click.option(
    "--join",
    is_flag=True,
    help="Look for texts that are missing among the comments, as far back as the topic goes.",
)
def command(config: Path | None, out: BinaryIO, *, join: bool) -> None:
    """Write what moderators decided as labelled rows, which `tidegate train` reads.

    A row a comment, by the last decision on it: id, community, text, and those of the six labels
    that it says. What the API publishes has its text; what others publish on the topic may not have
    one (see --join). Comments that were erased are left out. Where Kafka is and what the topics are
    called: TIDEGATE_KAFKA__… and TIDEGATE_TOPICS__…, as for the worker.

    Example: tidegate feedback --out feedback.jsonl

    Then: tidegate train --data train.csv --data feedback.jsonl@2 --out next-bundle
    """
    rows = Rows(load_settings(config), join, lambda line: click.echo(line, err=True))
    out.writelines(encode(row) + b"\n" for row in rows)
    found = ", ".join(f"{count:,} {name}" for name, count in rows.counts.items())
    click.echo(found or "no decision is on the topic", err=True)
