"""`tidegate broker`."""

from pathlib import Path

import click

from deploy.broker import serve


@click.command("broker")
@click.option("--port", type=click.IntRange(0, 65_535), default=9_092, show_default=True)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Folder to keep the data in; without it they go away with the broker.",
)
def command(port: int, data: Path | None) -> None:
    """Run a real Apache Kafka for development, one node, until Ctrl-C.

    Needs no Java and no Docker. Prints its bootstrap servers on stdout.

    Example: tidegate broker --port 9092 --data ./kafka-data
    """
    serve(port, data)
