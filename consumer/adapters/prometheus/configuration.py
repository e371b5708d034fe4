"""How often a Prometheus server evaluates, as its configuration says."""

from collections.abc import Mapping
from datetime import timedelta

import aiohttp
import yaml

from consumer.core.schedule import InvalidDuration, parse_go_duration


async def evaluation_interval(server: str, headers: Mapping[str, str], limit: timedelta) -> timedelta | None:
    """Return `global.evaluation_interval`; None when the server does not tell, as those that only speak PromQL do."""
    timeout = aiohttp.ClientTimeout(total=limit.total_seconds())
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(f"{server}/api/v1/status/config", headers=headers, allow_redirects=False) as response,
        ):
            return interval_in(await response.json())
    except (aiohttp.ClientError, OSError, ValueError):
        return None


def interval_in(answer: object) -> timedelta | None:
    """Read the answer of the server; its configuration is YAML in JSON."""
    match answer:
        case {"data": {"yaml": str(text)}}:
            pass
        case _:
            return None
    try:
        content: object = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        # Not only its own errors: what nests without end, and a date that is none, come as Python's.
        return None
    match content:
        case {"global": {"evaluation_interval": str(interval)}}:
            return _length(interval)
        case _:
            return None


def _length(text: str) -> timedelta | None:
    try:
        return parse_go_duration(text)
    except InvalidDuration:
        return None
