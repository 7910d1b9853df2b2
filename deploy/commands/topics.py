"""`tidegate topics create` and `tidegate topics check`."""

from pathlib import Path

import click

from deploy.topics import create_topics
from worker.settings import load_settings
from worker.topics import admin_client, check_topics, plans

config_option = click.option(
    "--config", type=click.Path(path_type=Path), help="A TOML file with settings."
)


@click.group("topics")
def command() -> None:
    """Make the topics with the right settings, or look at those that exist.

    Where Kafka is and what the topics are called: TIDEGATE_KAFKA__BOOTSTRAP_SERVERS and
    TIDEGATE_TOPICS__…, as for the worker.

    Example: tidegate topics create --partitions 6 --replication 3
    """


@command.command("create")
@click.option("--partitions", type=click.IntRange(1), default=6, show_default=True)
@click.option("--replication", type=click.IntRange(1), default=1, show_default=True)
@config_option
def create(partitions: int, replication: int, config: Path | None) -> None:
    """Make what is missing; what exists is checked and left as it is.

    Example: tidegate topics create --partitions 6 --replication 3
    """
    settings = load_settings(config)
    made = set()
    for name in create_topics(settings, admin_client(settings), partitions, replication):
        made.add(name)
        click.echo(f"{name}: made")
    for plan in plans(settings.topics):
        if plan.name not in made:
            click.echo(f"{plan.name}: was there")


@command.command("check")
@config_option
def check(config: Path | None) -> None:
    """Check that the topics exist and have the settings that the worker relies on.

    Example: tidegate topics check
    """
    settings = load_settings(config)
    check_topics(settings, admin_client(settings))
    for plan in plans(settings.topics):
        click.echo(f"{plan.name}: {'as it should be' if plan.needed else 'not needed yet'}")
