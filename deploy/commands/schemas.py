"""`tidegate schemas`."""

from pathlib import Path

import click

from schemas.generate import documents


@click.command("schemas")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("schemas/generated"), show_default=True
)
def command(out: Path) -> None:
    """Write the JSON Schemas of all contracts, and the AsyncAPI 3 document.

    Example: tidegate schemas --out my-schemas
    """
    out.mkdir(parents=True, exist_ok=True)
    for name, text in documents().items():
        (out / name).write_text(text, encoding="utf-8")
        click.echo(out / name)
