"""One run from beginning to end: the world, the faults and the traffic together, then quiet, then the evidence."""

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import orjson

from tests.chaos.edits import Editor
from tests.chaos.evidence import Done, Evidence
from tests.chaos.faults import Faults
from tests.chaos.plan import GATEWAYS, STEADY, Plan
from tests.chaos.records import recorded
from tests.chaos.traffic import Target, Traffic
from tests.chaos.world import PARTITIONS, PREFIX, World, world

_QUIET, _QUIET_WITHIN = 12.0, 120.0
_PROGRESS = 15.0

Say = Callable[[str], None]


async def run(plan: Plan, folder: Path, say: Say) -> Evidence:
    """Carry out the plan, and return what came of it."""
    (folder / "plan.json").write_bytes(orjson.dumps(plan.told(), option=orjson.OPT_INDENT_2))
    async with world(plan, folder, say) as made:
        for name in STEADY:
            made.begin(name)
        await made.all_ready()
        say(f"{len(STEADY)} processes are ready; {plan.length} of faults begin")
        editor = Editor(made.api, made.eyes)
        began = datetime.now(UTC)
        editor.begin(plan.fleet, began)
        faults, traffic = Faults(made, editor, say), Traffic(_target(made))
        async with asyncio.TaskGroup() as tasks:
            telling = tasks.create_task(_tell(say, made, faults, traffic))
            async with asyncio.TaskGroup() as work:
                work.create_task(faults.play(began))
                work.create_task(traffic.play(plan.calls, began))
            telling.cancel()
        stopped = datetime.now(UTC)
        say("the faults are over; waiting for quiet")
        stuck = await made.stuck()
        came_to_rest = await made.eyes.quiet(_QUIET, _QUIET_WITHIN)
        ended = datetime.now(UTC)
        rest = "quiet" if came_to_rest else "NO quiet"
        say(f"{rest} after {(ended - stopped).total_seconds():.0f} s; reading the log")
        await asyncio.gather(*(made.end(name) for name in STEADY))
        return Evidence(
            plan=plan,
            began=began,
            stopped=stopped,
            ended=ended,
            came_to_rest=came_to_rest,
            stuck=stuck,
            done=_done(made, faults, traffic),
            ledger=traffic.ledger,
            refused=traffic.refused,
            histories=made.eyes.histories,
            versions=faults.editor.versions,
            lives=[life for slot in made.slots.values() for life in slot.lives],
            logs=folder / "logs",
            recorded=await recorded(made.settings),
        )


def _done(made: World, faults: Faults, traffic: Traffic) -> Done:
    return Done(
        deeds=faults.done,
        edits=faults.editor.touched,
        away=made.spans,
        absences={name: slot.absences for name, slot in made.slots.items()},
        untrue=faults.untrue,
        loads=faults.loads,
        connections_cut=sum(door.cuts for ways in made.doors.values() for each in ways.values() for door in each),
        late=traffic.late,
    )


def _target(made: World) -> Target:
    ports = [made.slots[name].port for name in GATEWAYS]
    return Target(ports, made.kafka.bootstrap, PREFIX, PARTITIONS)


async def _tell(say: Say, made: World, faults: Faults, traffic: Traffic) -> None:
    began = asyncio.get_running_loop().time()
    while await asyncio.sleep(_PROGRESS, result=True):
        awake = sum(history[-1].replicas > 0 for history in made.eyes.histories.values())
        took = asyncio.get_running_loop().time() - began
        done = Counter(faults.done)
        say(
            f"  {took:4.0f} s: {done['kill']} kills, {done['zombie']} zombies, {len(traffic.ledger)} requests taken, "
            f"{len(traffic.refused)} refused, {awake} of {len(made.eyes.histories)} awake"
        )
