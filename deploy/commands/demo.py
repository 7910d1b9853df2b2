"""`tidegate demo`."""

from pathlib import Path

import click

from deploy.demo.command import demo


@click.command("demo")
@click.option(
    "--comments",
    type=click.Path(path_type=Path),
    help="CSV with a column text or comment_text, or JSON Lines. [comments written for it]",
)
@click.option("--count", type=click.IntRange(1), default=2_000, show_default=True)
@click.option("--workers", type=click.IntRange(1, 16), default=1, show_default=True)
@click.option("--plain", is_flag=True, help="Plain lines, as in a pipe.")
@click.option("--json", "as_json", is_flag=True, help="The summary as JSON on stdout.")
@click.pass_context
def command(  # noqa: PLR0913 - click hands in what is typed
    ctx: click.Context,
    comments: Path | None,
    count: int,
    workers: int,
    *,
    plain: bool,
    as_json: bool,
) -> None:
    """Watch comments flow through a real Kafka and a BERT, and out as verdicts.

    Starts a broker, makes the topics, starts workers, plays comments, and checks at the end
    that each had exactly one outcome.

    Example: tidegate demo --count 500 --plain
    """
    ctx.exit(demo(comments, count, workers, plain, as_json))
