"""The worker on real policy files that break, vanish and come back, across its restarts."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from consumer.adapters.policy_files import PolicyFiles
from consumer.worker.settings import WorkerPorts
from tests.adapters.policy_texts import check, document
from tests.worker.bed import WEB, Bed

MINUTE = timedelta(minutes=1)


async def ports_on(bed: Bed, folder: Path) -> tuple[WorkerPorts, PolicyFiles]:
    """What a process that starts now has: nothing of what an earlier one read."""
    files = PolicyFiles((folder,), check)
    await files.read()
    return replace(bed.ports(), policies=files), files


def break_the_file(folder: Path) -> None:
    (folder / "web.yaml").write_text("a: [")


def break_the_policy(folder: Path) -> None:
    (folder / "web.yaml").write_text(document("web", cooldown="soon"))


def empty_the_file(folder: Path) -> None:
    (folder / "web.yaml").write_text("")


def rename_the_folder(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))


@pytest.mark.parametrize("harm", [break_the_file, break_the_policy, empty_the_file, rename_the_folder])
async def test_a_restart_on_harmed_files_gives_nothing_back_and_still_wakes(
    tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    folder = tmp_path / "policies"
    folder.mkdir()
    (folder / "web.yaml").write_text(document("web"))
    bed = Bed()
    ports, _ = await ports_on(bed, folder)
    async with bed.running(ports):
        bed.result("observed", replicas=0, ready_replicas=0)
        await bed.flush()
    harm(folder)
    ports, files = await ports_on(bed, folder)
    async with bed.running(ports) as worker:
        await bed.pass_time(2 * MINUTE)
        assert bed.commands() == []
        assert WEB in worker.states()
        bed.request()
        await bed.until(lambda: bool(bed.commands()))
        assert [command.reason.code for command in bed.commands()] == ["request"]
        # Mended, it is the policy that it was; and only then does a deleted file end it.
        folder.mkdir(exist_ok=True)
        (folder / "web.yaml").write_text(document("web"))
        await files.read()
        await bed.settle()
        (folder / "web.yaml").unlink()
        await files.read()
        await bed.pass_time(timedelta(seconds=2))
        assert bed.commands()[-1].reason.code == "policy-deleted"
        assert WEB not in worker.states()


async def test_a_folder_that_vanishes_while_the_worker_runs_gives_nothing_back(tmp_path: Path) -> None:
    folder = tmp_path / "policies"
    folder.mkdir()
    (folder / "web.yaml").write_text(document("web"))
    bed = Bed()
    ports, files = await ports_on(bed, folder)
    async with bed.running(ports) as worker:
        bed.result("observed", replicas=0, ready_replicas=0)
        await bed.flush()
        rename_the_folder(folder)
        await files.read()
        await bed.pass_time(2 * MINUTE)
        assert bed.commands() == []
        assert WEB in worker.states()
        bed.request()
        await bed.until(lambda: bool(bed.commands()))
