"""`elasti schema`: the contracts of all messages, for producers and readers in any language."""

from pathlib import Path

import click

from schemas.generate import render


@click.command(
    epilog="\b\nExamples:\n  elasti schema                      # list what there is\n"
    "  elasti schema --out schemas/generated\n  elasti schema asyncapi.json"
)
@click.argument("name", required=False)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Write all of them to this directory.")
def command(name: str | None, out: Path | None) -> int:
    """Print one document, list them all, or write them all to a directory."""
    documents = render()
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        for file, content in documents.items():
            (out / file).write_bytes(content)
        click.echo(f"{len(documents)} documents written to {out}")
        return 0
    if name is None:
        click.echo("\n".join(sorted(documents)))
        return 0
    if name not in documents:
        raise click.UsageError(f"there is no {name}; `elasti schema` lists them")
    click.echo(documents[name].decode())
    return 0
