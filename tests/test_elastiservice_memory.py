"""What is kept of a resource takes the memory of its text, not that of the buffer it was written in."""

import tracemalloc

from consumer.elastiservice.fields import to_json


def test_the_text_of_a_resource_keeps_no_buffer_alive() -> None:
    tracemalloc.start()
    try:
        kept = [to_json({"service": f"web-{number}"}) for number in range(1_000)]
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert used < 4 * sum(len(text) for text in kept) + 200_000
