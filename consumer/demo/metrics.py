"""The demo's make-believe Prometheus: answers the worker's real HTTP queries from the scenario's present load.

It evaluates the part of PromQL that the demo's policies and the worker's batches are made of, and refuses the rest.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import promql_parser as promql
from aiohttp import web

Labels = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Sample:
    """One series of an instant vector; `__name__` is one of its labels."""

    labels: Labels
    value: float


class UnknownPromQLError(ValueError):
    """The query is outside of what the make-believe Prometheus evaluates."""


def sample(name: str, value: float, **labels: str) -> Sample:
    """Build a sample of a metric."""
    return Sample(frozenset({("__name__", name), *labels.items()}), value)


def evaluate(query: str, samples: Sequence[Sample]) -> Sequence[Sample]:
    """Evaluate an instant query over the present samples; raises UnknownPromQLError, or ValueError for a typo."""
    return _Evaluation(samples).of(promql.parse(query))


_AGGREGATES: Mapping[str, Callable[[Sequence[float]], float]] = {
    "sum": sum,
    "max": max,
    "min": min,
    "count": len,
}
# The scenario has no history: over any range its metrics were what they are now.
_CONSTANT_OVER_TIME = frozenset({"min_over_time", "max_over_time", "last_over_time", "present_over_time"})


@dataclass(frozen=True, slots=True)
class _Evaluation:
    samples: Sequence[Sample]

    def of(self, node: promql.Expr) -> Sequence[Sample]:
        match node:
            case promql.ParenExpr() | promql.SubqueryExpr():
                return self.of(node.expr)
            case promql.MatrixSelector():
                return self.of(node.vector_selector)
            case promql.VectorSelector():
                return self._select(node)
            case promql.AggregateExpr() if node.modifier is None and str(node.op) in _AGGREGATES:
                return self._aggregate(str(node.op), self.of(node.expr))
            case promql.BinaryExpr() if str(node.op) == "or":
                return self._either(self.of(node.lhs), self.of(node.rhs))
            case promql.Call():
                return self._call(node.func.name, node.args)
            case _:
                msg = f"the demo's Prometheus does not know {type(node).__name__}"
                raise UnknownPromQLError(msg)

    def _select(self, node: promql.VectorSelector) -> Sequence[Sample]:
        wanted = {(matcher.name, matcher.value) for matcher in node.matchers.matchers}
        if any(matcher.op != promql.MatchOp.Equal for matcher in node.matchers.matchers):
            msg = "the demo's Prometheus knows equality matchers only"
            raise UnknownPromQLError(msg)
        if node.name is not None:
            wanted.add(("__name__", node.name))
        return [known for known in self.samples if wanted <= known.labels]

    def _aggregate(self, name: str, inner: Sequence[Sample]) -> Sequence[Sample]:
        return [Sample(frozenset(), _AGGREGATES[name]([known.value for known in inner]))] if inner else []

    def _either(self, left: Sequence[Sample], right: Sequence[Sample]) -> Sequence[Sample]:
        taken = {_nameless(known.labels) for known in left}
        return [*left, *(known for known in right if _nameless(known.labels) not in taken)]

    def _call(self, name: str, args: Sequence[promql.Expr]) -> Sequence[Sample]:
        if name == "vector" and isinstance(args[0], promql.NumberLiteral):
            return [Sample(frozenset(), args[0].val)]
        if name == "label_replace":
            return self._labelled(args)
        if name in _CONSTANT_OVER_TIME:
            return [Sample(_nameless(known.labels), known.value) for known in self.of(args[0])]
        msg = f"the demo's Prometheus does not know {name}()"
        raise UnknownPromQLError(msg)

    def _labelled(self, args: Sequence[promql.Expr]) -> Sequence[Sample]:
        target, text, source, pattern = (arg.val if isinstance(arg, promql.StringLiteral) else "" for arg in args[1:])
        if source or pattern:
            msg = "the demo's Prometheus knows label_replace with a constant only"
            raise UnknownPromQLError(msg)
        return [
            Sample(frozenset({*(pair for pair in known.labels if pair[0] != target), (target, text)}), known.value)
            for known in self.of(args[0])
        ]


def _nameless(labels: Labels) -> Labels:
    return frozenset(pair for pair in labels if pair[0] != "__name__")


class PretendPrometheus:
    """Serves `/api/v1/query`; while `blind` it answers 503, as an overloaded server does."""

    def __init__(self, samples: Callable[[], Sequence[Sample]]) -> None:
        self.blind = False
        self._samples = samples

    def application(self) -> web.Application:
        """The web application to be served on a free port."""
        application = web.Application()
        application.router.add_route("*", "/api/v1/query", self._query)
        return application

    async def _query(self, request: web.Request) -> web.Response:
        if self.blind:
            return web.Response(status=503, text="blind on purpose: press b to see again")
        form = await request.post() if request.method == "POST" else request.query
        at = float(str(form.get("time", "0"))) if str(form.get("time", "0")).replace(".", "").isdigit() else 0.0
        try:
            found = evaluate(str(form.get("query", "")), self._samples())
        except ValueError as refused:
            return web.json_response({"status": "error", "errorType": "bad_data", "error": str(refused)}, status=400)
        result = [{"metric": dict(known.labels), "value": [at, f"{known.value:g}"]} for known in found]
        return web.json_response({"status": "success", "data": {"resultType": "vector", "result": result}})
