"""Queries of every kind that a policy may hold, and what must stand in Prometheus for them to mean something."""

from tests.live.prometheus_server import Exporter

SHAPES = (
    # plain and aggregated
    "shape_load",
    'shape_load{service="a"}',
    'shape_load{service=~"a|b",zone!="x"}',
    "sum(shape_load)",
    "sum by (service) (shape_load)",
    "sum without (service) (shape_load)",
    "avg(shape_load) by (zone)",
    "min(shape_load)",
    "max(shape_load)",
    "count(shape_load)",
    "group(shape_load)",
    "stddev(shape_load)",
    "topk(2, shape_load)",
    "bottomk(1, shape_load)",
    "quantile(0.9, shape_load)",
    'count_values("seen", shape_load)',
    "sort(shape_load)",
    "sort_desc(shape_load)",
    # a constant behind `or`
    "sum(shape_load) or vector(0)",
    "sum(shape_missing) or vector(0)",
    "(sum(shape_missing)) or (vector((7)))",
    "shape_load or vector(1)",
    "vector(3) or shape_load",
    "sum(shape_missing or vector(0)) / sum(shape_load or vector(1))",
    # scalars
    "1",
    "-1.5e-3",
    "(2)",
    "0x1F",
    "1 / 3",
    "0 / 0",
    "1 / 0",
    "-1 / 0",
    "time()",
    "pi()",
    'scalar(shape_load{service="a"})',
    "scalar(shape_load)",
    "1 > bool 2",
    "-scalar(sum(shape_load)) ^ 2",
    # over time
    "rate(shape_total[5s])",
    "sum(rate(shape_total[5s]))",
    "increase(shape_total[5s])",
    "irate(shape_total[5s])",
    "deriv(shape_load[5s])",
    "max_over_time(shape_load[5s])",
    "quantile_over_time(0.5, shape_load[5s])",
    "absent(shape_load)",
    "absent(shape_missing)",
    'absent(shape_missing{service="a"})',
    "absent_over_time(shape_missing[5s])",
    "present_over_time(shape_load[5s])",
    "changes(shape_load[5s])",
    "timestamp(shape_load)",
    # offsets, fixed times, subqueries
    "sum(shape_load offset 1s)",
    "sum(shape_load offset 1d)",
    "sum(shape_load offset -1s)",
    "sum(shape_load @ end())",
    "shape_load @ start() offset 1s",
    "sum(shape_load @ 100)",
    "max_over_time(sum(shape_load)[5s:1s])",
    "avg_over_time((sum(shape_missing) or vector(0))[5s:1s])",
    "max_over_time(rate(shape_total[3s])[3s:1s] offset 1s)",
    'min_over_time((max(up{container="prometheus"}) or vector(0))[3s:])',
    # histograms
    "histogram_quantile(0.5, shape_seconds_bucket)",
    "histogram_quantile(0.99, sum by (le) (shape_seconds_bucket))",
    "histogram_quantile(2, sum by (le) (shape_seconds_bucket))",
    "histogram_quantile(NaN, shape_seconds_bucket)",
    # nothing, several, not a number, infinite
    "shape_missing",
    "sum(shape_missing)",
    'shape_load{service="none"}',
    "shape_load > 100",
    "shape_load > bool 1",
    'shape_load{service="nan"}',
    'shape_load{service="inf"}',
    'sum(shape_load{service=~"nan|inf"})',
    "vector(0) / vector(0)",
    "-vector(1) / vector(0)",
    # names and labels
    '{__name__=~"shape_load|shape_twin"}',
    '{__name__="shape_load",service="a"}',
    'label_replace(shape_load, "service", "same", "", "")',
    'label_replace(shape_load, "copy", "$1", "service", "(.*)")',
    'label_join(shape_load, "joined", "-", "service", "zone")',
    'label_replace(shape_load{service="a"}, "id", "0", "", "")',
    'label_replace(vector(1), "elasti_id", "0", "", "")',
    # operators between vectors
    "shape_load and shape_twin",
    "shape_load unless shape_twin",
    "shape_load or shape_twin",
    "shape_load + on(service) shape_twin",
    "shape_load / on(service) group_left(zone) shape_twin",
    "shape_load * 2 - 1 % 3",
    "-shape_load",
    "abs(-sum(shape_load)) >= 0",
    # comments, blanks, quotes
    "# first\nsum(shape_load)",
    "sum(shape_load) # last",
    'sum(shape_load{service="a"}) # ) or ("',
    "sum(\n  shape_load\n)",
    "shape_load{service='a'}",
    "shape_load{service=~`a|\\d`}",
    'shape_load{service="# no comment"}',
    'shape_load{service="tricky\\"){}\\n"}',
    "sum(shape_load)\t",
    'shape_load{service="é☃"}',
    # what fails when it is evaluated
    "shape_load / on() shape_twin",
    "shape_load * on() group_left() shape_twin",
    '-{__name__=~"shape_load|shape_twin"}',
    'label_replace(shape_load, "service", "x", "service", ".*") + 0',
    'label_replace(shape_load, "0bad", "x", "", "")',
    # what the server can not read, though another might
    "rate(shape_total[5])",
    "sum(shape_load",
    "shape_load) or (shape_load",
    "no_such_function(shape_load)",
    "shape_load #\r) or vector(1)",
    # what is no number at all
    '"text"',
    "shape_load[3s]",
    "(sum(shape_load))[3s:1s]",
)


def fill(exporter: Exporter) -> None:
    """Set the series that the shapes speak of."""
    for service, zone, value in (("a", "x", 0.25), ("b", "y", 3.0), ("c", "y", 1e21), ("é☃", "x", 1e-7)):
        exporter.set("shape_load", value, service=service, zone=zone)
    exporter.set("shape_load", float("nan"), service="nan", zone="z")
    exporter.set("shape_load", float("inf"), service="inf", zone="z")
    for service in ("a", "b"):
        exporter.set("shape_twin", 2.0, service=service)
        exporter.set("shape_total", 10.0, service=service)
    for bound, count in (("0.1", 1.0), ("1", 5.0), ("+Inf", 9.0)):
        exporter.set("shape_seconds_bucket", count, le=bound)
