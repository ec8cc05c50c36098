"""Where a webhook may lead, what it is called, and which events it gets."""

import json

import pytest

from engine.operations.webhook_target import (
    WebhookRefusedError,
    check_addresses,
    events_named,
    header_of,
    host_of,
    name_of,
    pattern,
    wanted_by,
)


def test_an_https_url_with_port_path_and_query_is_taken() -> None:
    assert host_of("https://hooks.shop.example:8443/mail?tenant=7", local=False) == "hooks.shop.example"


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.shop.example/",
        "ftp://hooks.shop.example/",
        "https:///mail",
        "hooks.shop.example",
        "https://ada:secret@hooks.shop.example/",
        "https://hooks.shop.example/*",
        "https://hooks.shop.example/#top",
        "https://hooks.shop.example/a b",
        "https://hooks.shop.example:port/",
        "https://[::1/",
        "https://hooks.shop.example/" + "a" * 2048,
    ],
)
def test_any_other_url_is_refused(url: str) -> None:
    with pytest.raises(WebhookRefusedError):
        host_of(url, local=False)


def test_plain_http_is_for_a_local_aws_alone() -> None:
    assert host_of("http://127.0.0.1:9000/", local=True) == "127.0.0.1"


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "192.168.0.1",
        "169.254.169.254",  # where an instance asks for credentials
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "::1",
        "fe80::1",
        "fd00::1",
        "::ffff:10.0.0.1",
        "::127.0.0.1",
        "fec0::1",
        "64:ff9b::a9fe:a9fe",  # NAT64 of 169.254.169.254
        "2002:a00:1::1",  # 6to4 of 10.0.0.1
    ],
)
def test_a_host_is_refused_for_one_address_that_is_not_public(address: str) -> None:
    with pytest.raises(WebhookRefusedError, match=address):
        check_addresses("hooks.shop.example", ["93.184.215.14", address])


def test_a_host_whose_addresses_are_public_is_taken_and_one_without_any_is_not() -> None:
    check_addresses("hooks.shop.example", ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"])
    check_addresses("hooks.shop.example", ["64:ff9b::5db8:d70e"])  # as a network with IPv6 alone says it
    with pytest.raises(WebhookRefusedError, match="no address"):
        check_addresses("hooks.shop.example", [])


@pytest.mark.parametrize(
    ("host", "name"), [("hooks.shop.example", "hooks-shop-e"), ("crm.example", "crm-example"), ("::1", "1")]
)
def test_the_name_comes_of_the_host(host: str, name: str) -> None:
    assert name_of(None, host) == name


def test_the_names_in_aws_fit_for_the_longest_stack() -> None:
    assert len("s" * 40 + "-webhook-" + name_of(None, "hooks.of.a.long.example")) <= 64


@pytest.mark.parametrize("name", ["", "CRM", "thirteen-char", "a_b", "a/b"])
def test_any_other_name_is_refused(name: str) -> None:
    with pytest.raises(WebhookRefusedError, match="1 to 12"):
        name_of(name, "crm.example")


def test_events_are_named_each_once_and_unknown_ones_are_told() -> None:
    assert events_named("bounced, complained,bounced") == ("bounced", "complained")
    with pytest.raises(WebhookRefusedError, match="no event is called bouncy: there are sent"):
        events_named("bounced,bouncy")
    with pytest.raises(WebhookRefusedError, match="at least one"):
        events_named(" , ")


def test_a_header_that_is_none_is_refused_without_its_value() -> None:
    assert header_of("X-Api-Key=a=b") == ("X-Api-Key", "a=b")
    for wrong in ("s3cret", "X Key=s3cret", "=s3cret", "X-Key=s3cret\r\nHost: evil", "X-Key="):
        with pytest.raises(WebhookRefusedError) as refused:
            header_of(wrong)
        assert "s3cret" not in str(refused.value)


def test_the_rule_gets_its_statuses_of_its_source_and_its_own_tests() -> None:
    assert pattern("crm", ("bounced", "complained"), "shop") == {
        "source": ["sesmailengine"],
        "$or": [
            {
                "detail-type": ["Email Status Changed"],
                "detail": {"status": ["bounced", "complained"], "originalSource": ["shop"]},
            },
            {"detail-type": ["Webhook Test"], "detail": {"webhook": ["crm"]}},
        ],
    }


def test_unsubscribed_is_a_subscription_that_ended() -> None:
    (change, _) = pattern("crm", ("unsubscribed",), None)["$or"]
    assert change == {"detail-type": ["Subscription Changed"], "detail": {"subscribed": [False]}}


@pytest.mark.parametrize("source", [None, "shop"])
@pytest.mark.parametrize("events", [("bounced", "unsubscribed"), ("sent",)])
def test_a_pattern_tells_what_it_was_made_for(events: tuple[str, ...], source: str | None) -> None:
    assert wanted_by(json.loads(json.dumps(pattern("crm", events, source)))) == (events, source)
