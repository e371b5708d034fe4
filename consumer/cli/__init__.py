"""The command line: parses words, calls the application, prints answers; each command is loaded when it is used.

Exit codes, the same for every command: 0 done; 1 the answer is no (an invalid policy, a topic that differs, an
unknown service); 2 wrong words or settings; 3 something needed is away or failed; 130 interrupted;
141 nobody reads the output any more.
"""

import importlib
import sys
from collections.abc import Sequence

import click

COMMANDS = {
    "demo": "Watch a dozen services sleep and wake, on a real Kafka that starts by itself.",
    "run": "Run worker, handler and gateway.",
    "check": "Say what is wrong with policies, and what each would do.",
    "topics": "Create the topics, or verify that they are as they should be.",
    "send": "Send a request count or a host by hand.",
    "tail": "Follow results, decisions or commands.",
    "explain": "Say why a service is as it is, and what would change it.",
    "schema": "Write the JSON Schemas and the AsyncAPI document of all messages.",
}


class _Lazy(click.Group):
    """A group whose commands are imported when they are asked for: `--help` must not wait for Kafka's client."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - the signature is the library's
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f"consumer.cli.{cmd_name}").command
        assert isinstance(command, click.Command)  # noqa: S101 - every module of COMMANDS has one
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(
    cls=_Lazy,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="\b\nFirst steps:\n  elasti demo\n  elasti check policies/\n  elasti run --help",
)
@click.version_option(package_name="elasti-consumer", prog_name="elasti")
def elasti() -> None:
    """Scale idle Kubernetes services to zero, and wake them when traffic comes.

    Every decision can be explained: see `elasti explain`.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; ends the process with the exit codes of this package."""
    try:
        code = elasti.main(arguments, prog_name="elasti", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        click.echo("interrupted", err=True)
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)
