"""The command line: `tidegate`. A subcommand is imported only when it is called.

Data on stdout, all else on stderr, a non-zero exit on failure.
"""

import errno
import importlib
import sys
from typing import Any, Final

import click

from schemas.errors import TidegateError

# name -> the module that holds its command under the name `command`
COMMANDS: Final = {
    "demo": "deploy.commands.demo",
    "broker": "deploy.commands.broker",
    "topics": "deploy.commands.topics",
    "worker": "deploy.commands.worker",
    "api": "deploy.commands.api",
    "score": "deploy.commands.score",
    "feedback": "deploy.commands.feedback",
    "train": "deploy.commands.train",
    "average": "deploy.commands.average",
    "ensemble": "deploy.commands.ensemble",
    "reconcile": "deploy.commands.reconcile",
    "evaluate": "deploy.commands.evaluate",
    "sign": "deploy.commands.sign",
    "schemas": "deploy.commands.schemas",
}

# What stands beside a name in `tidegate --help`, so that listing imports nothing.
SUMMARIES: Final = {
    "demo": "Broker, topics, worker and a stream of comments, live.",
    "broker": "A real Apache Kafka for development.",
    "topics": "Make the topics with the right settings, or check them.",
    "worker": "One worker, for ever.",
    "api": "Perspective's calls and our own, over HTTP.",
    "score": "Sentences in, probabilities and labels out.",
    "feedback": "What moderators decided, as labelled rows to train on.",
    "train": "Labelled files in, a bundle out.",
    "average": "Several bundles in, one of their mean weights out.",
    "ensemble": "Several models in, a teacher for a smaller one out.",
    "reconcile": "Read the topics, and prove that each comment has exactly one outcome.",
    "evaluate": "Bundles and other models, judged on the same rows.",
    "sign": "Sign a bundle, for workers that load no other.",
    "schemas": "Write the JSON Schemas and the AsyncAPI document.",
}


class Tidegate(click.Group):
    """A group whose commands are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the commands in the order in which a newcomer needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(COMMANDS[cmd_name]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """List the commands without importing one of them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(SUMMARIES.items()))

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; what a person can mend is said in two lines, without a traceback."""
        try:
            return super().invoke(ctx)
        except TidegateError as error:
            click.echo(f"error: {error.what}", err=True)
            if error.hint:
                click.echo(f"hint: {error.hint}", err=True)
            ctx.exit(1)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            click.echo(f"error: the output cannot be written: {error.strerror}", err=True)
            ctx.exit(1)


@click.command(cls=Tidegate, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tidegate")
def main() -> None:
    """Streaming comment moderation: comments in Kafka, labelled verdicts out.

    Example: tidegate score "You are awful"
    """


if __name__ == "__main__":
    sys.exit(main())
