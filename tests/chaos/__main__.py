"""`python -m tests.chaos`: break the system for some minutes, and say whether its promises held."""

import asyncio
import pickle
import shutil
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

import click

from consumer.telemetry import configure_logging
from tests.chaos.evidence import Evidence
from tests.chaos.plan import Plan, plan, without_kafka
from tests.chaos.report import report
from tests.chaos.run import run

_EVIDENCE = "evidence.pickle"


@click.command()
@click.option("--seed", type=int, help="What the plan is drawn from: the same seed, the same plan.")
@click.option("--minutes", type=click.FloatRange(0.5, 30), default=5.0, show_default=True, help="How long faults last.")
@click.option("--services", type=click.IntRange(10, 1000), default=200, show_default=True, help="How many there are.")
@click.option(
    "--without-kafka",
    "blackout",
    type=click.FloatRange(0.5, 60),
    help="Break nothing but Kafka, for this many minutes: direct wakes carry the traffic.",
)
@click.option("--keep", type=click.Path(path_type=Path), help="Keep the plan, the logs and the evidence here.")
@click.option("--again", type=click.Path(path_type=Path, exists=True), help="Only judge anew what was kept there.")
def main(  # noqa: PLR0913, PLR0917 - one parameter an option
    seed: int | None, minutes: float, services: int, blackout: float | None, keep: Path | None, again: Path | None
) -> None:
    """Break the system by a plan drawn from a seed; exit 1 when it broke a promise.

    A real Kafka of two brokers, a Prometheus and a Kubernetes control plane are started, and workers, handlers and
    gateways as processes behind proxies. They are killed, stopped, cut off and lied to while requests come and an
    operator edits policies. Then everything is set right, and when it is quiet it is judged.
    """
    configure_logging("console", "critical")
    if again is not None:
        sys.exit(report(_kept(again), click.echo))
    if seed is None:
        raise click.UsageError("name a seed, for example --seed 1")
    folder = keep or Path(tempfile.mkdtemp(prefix="elasti-chaos-run-"))
    folder.mkdir(parents=True, exist_ok=True)
    worth_a_look = True
    try:
        if blackout is None:
            drawn = plan(seed, timedelta(minutes=minutes), services)
        else:
            drawn = without_kafka(seed, timedelta(minutes=blackout), services)
        worth_a_look = code = bool(_run(drawn, folder))
    except KeyboardInterrupt:
        worth_a_look = False
        raise
    finally:
        # What broke a promise is kept, whether that was asked for or not.
        if keep is None and not worth_a_look:
            shutil.rmtree(folder, ignore_errors=True)
    sys.exit(int(code))


def _run(drawn: Plan, folder: Path) -> int:
    click.echo(
        f"seed {drawn.seed}: {len(drawn.steps)} deeds and {len(drawn.calls)} requests in {drawn.length} for "
        f"{len(drawn.fleet)} services; the plan is in {folder}/plan.json"
    )
    evidence = asyncio.run(run(drawn, folder, click.echo))
    (folder / _EVIDENCE).write_bytes(pickle.dumps(evidence))
    code = report(evidence, click.echo)
    if code:
        click.echo(f"everything about it is in {folder}; judge it again by --again {folder}")
    return code


def _kept(folder: Path) -> Evidence:
    evidence = pickle.loads((folder / _EVIDENCE).read_bytes())  # noqa: S301 - what an own run has written
    assert isinstance(evidence, Evidence)
    return evidence


if __name__ == "__main__":
    main()
