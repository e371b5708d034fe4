"""What the API lets us do, asked one by one as the API has it, several at a time."""

import asyncio
from collections.abc import Sequence
from typing import Final

from consumer.adapters.kubernetes.api import Api
from consumer.ports import Right, TargetInvalidError

_REVIEWS: Final = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_AT_A_TIME: Final = 8


class KubernetesRights:
    """Implements `ports.Rights` by SelfSubjectAccessReviews, which every user may create."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._turns = asyncio.Semaphore(_AT_A_TIME)

    async def missing(self, rights: Sequence[Right]) -> Sequence[Right]:
        """Return those that we do not have, in the order given."""
        allowed = await asyncio.gather(*(self._allowed(right) for right in rights))
        return [right for right, has in zip(rights, allowed, strict=True) if not has]

    async def _allowed(self, right: Right) -> bool:
        attributes = {
            "verb": right.verb,
            "group": right.group,
            "resource": right.resource,
            "subresource": right.subresource,
            "namespace": right.namespace,
            "name": right.name,
        }
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {name: value for name, value in attributes.items() if value}},
        }
        async with self._turns:
            match await self._api.post(_REVIEWS, body):
                case {"status": {"allowed": bool(allowed)}}:
                    return allowed
                case _:
                    raise TargetInvalidError("the API answered a question about rights with something else")
