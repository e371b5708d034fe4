"""A process that was halted does nothing more, whichever of its threads was at work."""

import asyncio
import mmap
import signal
import sys
from pathlib import Path

from consumer.children import halt

BUSY = """
import mmap, sys, threading
with open(sys.argv[1], "r+b") as file:
    shared = mmap.mmap(file.fileno(), 0)
def count():
    while True:
        shared[0] = (shared[0] + 1) % 256
threads = [threading.Thread(target=count, daemon=True) for _ in range(4)]
for thread in threads:
    thread.start()
print("busy", flush=True)
threads[0].join()
"""


async def test_nothing_moves_in_a_process_that_was_halted(tmp_path: Path) -> None:
    file = tmp_path / "counter"
    file.write_bytes(b"\0")
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", BUSY, file, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"busy\n"
        with file.open("r+b") as opened, mmap.mmap(opened.fileno(), 0) as shared:
            halt(process.pid)
            seen = {shared[0] for _ in range(100_000)}
            assert len(seen) == 1
            process.send_signal(signal.SIGCONT)
            while shared[0] in seen:
                continue
    finally:
        process.kill()
        await process.wait()
