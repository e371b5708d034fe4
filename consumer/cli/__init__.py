"""The command line: parses words, calls the application, prints answers; each command is loaded when it is used.

Exit codes, the same for every command: 0 done; 1 the answer is no (an invalid policy, a topic that differs, an
unknown service); 2 wrong words or settings; 3 something needed is away or failed; 130 interrupted;
141 nobody reads the output any more.
"""

import importlib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from consumer.app.places import Places

COMMANDS = {
    "demo": "Watch a dozen services sleep and wake, on a real Kafka that starts by itself.",
    "run": "Run worker, handler and gateway.",
    "check": "Say what is wrong with policies, and what each would do.",
    "topics": "Create the topics, or verify that they are as they should be.",
    "send": "Send a request count or a host by hand.",
    "tail": "Follow results, decisions or commands.",
    "explain": "Say why a service is as it is, and what would change it.",
    "freeze": "Put nothing to sleep any more; wakes go on.",
    "unfreeze": "Let services sleep again.",
    "mode": "Say how much is carried out: observe, wake-only or full.",
    "switches": "Show what is frozen and switched now, by whom and until when.",
    "wake": "Wake services now.",
    "restore": "Give everything back as it was, without Kafka; the way out.",
    "diff": "Say what we would have done beside what happened.",
    "verify": "Check that a whole run kept every promise, from the topics alone.",
    "doctor": "Look for what is wrong with an installation, and how to cure it.",
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


def main(arguments: Sequence[str] | None = None, places: "Places | None" = None) -> None:
    """Run the command line; ends the process with the exit codes of this package.

    `places`: where commands take effect; None: where the settings say.
    """
    try:
        code = elasti.main(arguments, prog_name="elasti", standalone_mode=False, obj=places)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        click.echo("interrupted", err=True)
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)
