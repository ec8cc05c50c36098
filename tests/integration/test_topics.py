"""`sesmailengine topics`: which topics there are, what an address gets, and changing it for a person."""

import json

import pytest
from tests.support.cloud import Cloud
from tests.support.operators import Operator


@pytest.fixture
def stack(cloud: Cloud) -> Cloud:
    """A stack with a template that names a topic, one that names none, and one whose metadata is broken."""
    cloud.s3.create_bucket(
        Bucket=f"{cloud.stack}-templates-123456789012",
        CreateBucketConfiguration={"LocationConstraint": "eu-west-1"},
    )
    for name, metadata in (
        ("news", '{"subject": "News", "topic": "news"}'),
        ("reset", '{"subject": "Reset"}'),
        ("broken", "{"),
    ):
        cloud.s3.put_object(
            Bucket=f"{cloud.stack}-templates-123456789012",
            Key=f"templates/{name}/metadata.json",
            Body=metadata.encode(),
        )
    cloud.events.put_rule(
        Name="status", EventBusName=cloud.bus, EventPattern=json.dumps({"source": ["sesmailengine"]})
    )
    return cloud


def run(cloud: Cloud, *arguments: str) -> tuple[int, str]:
    result = Operator(cloud).run("topics", *arguments)
    return result.exit_code, result.output


def test_the_topics_of_the_templates_are_listed(stack: Cloud) -> None:
    code, output = run(stack, "list", "--json")
    assert code == 0
    assert json.loads(output)["topics"] == [{"topic": "news", "name": "news", "templates": ["news"]}]
    code, output = run(stack, "list")
    assert "1 topic." in output


def test_a_stack_that_is_not_there_is_named(cloud: Cloud) -> None:
    code, output = run(cloud, "list")  # and has no bucket of templates
    assert code == 1
    assert f"found no such resource of the stack '{cloud.stack}'" in " ".join(output.split())


def test_a_name_is_shown_as_it_is_and_never_taken_for_a_style(stack: Cloud) -> None:
    bucket = f"{stack.stack}-templates-123456789012"
    key = "templates/[red]:smile:/metadata.json"
    stack.s3.put_object(Bucket=bucket, Key=key, Body=b'{"subject": "Offers", "topic": "offers"}')
    _, output = run(stack, "list")
    assert "[red]:smile:" in output


def test_an_operator_unsubscribes_a_person_and_takes_it_back(stack: Cloud) -> None:
    code, output = run(stack, "set", " Ada@Example.com", "news", "--off", "--yes")
    assert code == 0
    assert "ada@example.com gets no more mail of news" in output
    (row,) = stack.items("Suppression")
    assert (row["email"], row["suppressionType"]) == ("news#ada@example.com", "unsubscribe")
    _, output = run(stack, "show", "ada@example.com", "--json")
    assert json.loads(output)["topics"] == [{"topic": "news", "subscribed": False}]
    assert run(stack, "set", "ada@example.com", "news", "--on", "--yes")[0] == 0
    assert stack.items("Suppression") == []
    events = stack.status_events()
    told = [(event["topic"], event["subscribed"], event["via"]) for event in events if "topic" in event]
    assert told == [("news", False, "operator"), ("news", True, "operator")]
    acts = [(event["action"], event["scope"]) for event in events if "action" in event]
    assert acts == [("topic-off", "news#ada@example.com"), ("topic-on", "news#ada@example.com")]


def test_setting_a_topic_takes_on_or_off(stack: Cloud) -> None:
    code, output = run(stack, "set", "ada@example.com", "news", "--yes")
    assert code == 2
    assert "expected --on or --off" in output


def test_a_topic_that_only_a_request_named_is_shown_where_the_address_has_ended_it(stack: Cloud) -> None:
    stack.put(
        "Suppression",
        email="club#ada@example.com",
        suppressionType="unsubscribe",
        addedToSuppressionDate="2026-11-24T08:00:00.000Z",
    )
    _, output = run(stack, "show", "ada@example.com")
    assert "has unsubscribed from club." in output


@pytest.mark.parametrize("key", ["*#ada@example.com", "ada@example.com"])
def test_whoever_has_unsubscribed_from_everything_is_shown_so_until_it_is_taken_back(
    stack: Cloud, key: str
) -> None:
    stack.put("Suppression", email=key, suppressionType="unsubscribe")
    _, output = run(stack, "show", "ada@example.com", "--topic", "club", "--json")
    shown = json.loads(output)
    assert shown["allOff"]
    assert [(each["topic"], each["subscribed"]) for each in shown["topics"]] == [
        ("news", False),
        ("club", False),
    ]
    assert run(stack, "set", "ada@example.com", "*", "--on", "--yes")[0] == 0
    assert stack.items("Suppression") == []


def test_taking_up_one_topic_says_that_everything_is_still_off(stack: Cloud) -> None:
    stack.put("Suppression", email="*#ada@example.com", suppressionType="unsubscribe")
    code, output = run(stack, "set", "ada@example.com", "news", "--on", "--yes")
    assert code == 1
    assert "still gets no mail of news" in output
    assert "topics set ada@example.com '*' --on" in " ".join(output.split())


def test_a_row_of_another_type_is_neither_shown_nor_taken_out(stack: Cloud) -> None:
    stack.put("Suppression", email="ada@example.com", suppressionType="bounce")
    _, output = run(stack, "show", "ada@example.com")
    assert "has unsubscribed from nothing" in " ".join(output.split())
    run(stack, "set", "ada@example.com", "*", "--on", "--yes")
    assert len(stack.items("Suppression")) == 1


def test_a_topic_that_can_not_be_one_is_named(stack: Cloud) -> None:
    code, output = run(stack, "set", "ada@example.com", "News!", "--off", "--yes")
    assert code == 2
    assert "News!" in output
