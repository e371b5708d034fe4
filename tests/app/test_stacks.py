"""A program tells at SIGUSR1 where it stands, held up or not, and goes on."""

import asyncio
import signal
import sys

_PROGRAM = """
import asyncio, signal, sys, time
from consumer.app.stacks import stacks_on_signal

async def waits_for_ever():
    await asyncio.Event().wait()

def holds_up():
    print("held up", flush=True)
    sys.stdin.readline()

async def main():
    with stacks_on_signal():
        task = asyncio.create_task(waits_for_ever())
        print("waiting", flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
        holds_up()
        print("done", flush=True)
        task.cancel()

asyncio.run(main())
"""


async def test_a_program_tells_where_its_threads_stand_and_where_its_tasks_wait() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _PROGRAM),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdin
    assert process.stdout
    assert process.stderr
    try:
        async with asyncio.timeout(60):
            assert await process.stdout.readline() == b"waiting\n"
            process.send_signal(signal.SIGUSR1)
            told = await process.stderr.readuntil(b"every task was told\n")
            assert b"Current thread" in told
            assert b"waits_for_ever" in told
            process.stdin.write(b"\n")
            assert await process.stdout.readline() == b"held up\n"
            # The loop stands still now: the threads are told all the same, and it goes on afterwards.
            process.send_signal(signal.SIGUSR1)
            assert b"holds_up" in await process.stderr.readuntil(b"holds_up")
            process.stdin.write(b"\n")
            assert await process.stdout.readline() == b"done\n"
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
