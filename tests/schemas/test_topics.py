"""The topics are kept as the design says, and their names are in one place."""

from datetime import timedelta

from schemas.topics import MAX_MESSAGE_BYTES, MAX_VALUE_BYTES, TOPICS, Topic


def test_every_topic_has_one_specification() -> None:
    assert [spec.topic for spec in TOPICS] == list(Topic)
    assert len({spec.topic.under("elasti.") for spec in TOPICS}) == len(Topic)


def test_the_prefix_goes_in_front() -> None:
    assert Topic.REQUEST_COUNTS.under("eu.elasti.") == "eu.elasti.request-counts"


def test_topics_keep_what_the_design_says() -> None:
    kept = {spec.topic: spec.retention for spec in TOPICS}
    assert kept == {
        Topic.REQUEST_COUNTS: timedelta(hours=24),
        Topic.HOSTS: timedelta(hours=24),
        Topic.SCALE_COMMANDS: timedelta(days=7),
        Topic.SCALE_RESULTS: timedelta(days=7),
        Topic.SERVICE_STATUS: None,
        Topic.CONTROL: None,
        Topic.DECISIONS: timedelta(days=30),
        Topic.STATE: None,
        Topic.DEAD_LETTER: timedelta(days=30),
    }


def test_the_settings_are_in_kafkas_words() -> None:
    configs = {spec.topic: spec.config() for spec in TOPICS}
    assert configs[Topic.REQUEST_COUNTS] == {
        "cleanup.policy": "delete",
        "retention.ms": "86400000",
        "segment.ms": "21600000",
        "message.timestamp.type": "LogAppendTime",
        "max.message.bytes": "1048588",
        "compression.type": "uncompressed",
    }
    assert configs[Topic.STATE]["cleanup.policy"] == "compact"
    assert "retention.ms" not in configs[Topic.STATE]
    assert {config["message.timestamp.type"] for config in configs.values()} == {"LogAppendTime"}


def test_only_control_and_the_dead_letters_have_a_single_partition() -> None:
    assert {spec.topic for spec in TOPICS if spec.partitions(12) == 1} == {Topic.CONTROL, Topic.DEAD_LETTER}
    assert {spec.partitions(12) for spec in TOPICS if spec.keyed} == {12}


def test_the_largest_value_fits_with_its_headers() -> None:
    assert MAX_VALUE_BYTES + 32_000 < MAX_MESSAGE_BYTES
