"""The hosted unsubscribe page, as Lambda calls it and as a browser or a mail program sees it."""

from collections.abc import Iterator
from urllib.parse import urlencode

import boto3  # type: ignore[import-untyped]  # a test looks at answers as plain JSON
import pytest
from tests.support.cloud import Cloud
from tests.support.unsubscribe import ADA, FORM, LINKS, ONE_CLICK, ask, host, request

from engine.bootstrap.settings import SettingsError
from engine.consent.languages import ENGLISH, LANGUAGES, choose
from engine.consent.links import VALID_SECONDS, BadLinkError, Subscription, UnsubscribeLinks
from engine.handlers import unsubscribe


@pytest.fixture
def page(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    host(cloud, monkeypatch)
    yield cloud
    unsubscribe.environment.close()


def press(action: str, topic: str, of: Subscription = ADA) -> tuple[int, str]:
    body = urlencode({"topic": topic, "action": action})
    status, html, _ = ask("POST", LINKS.url(of), body, content_type=FORM)
    return status, html


def rows(cloud: Cloud) -> set[str]:
    return {row["email"] for row in cloud.items("Suppression")}


# -- one click -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoded", [False, True])
def test_one_click_ends_the_links_topic_and_is_told_on_the_bus(page: Cloud, *, encoded: bool) -> None:
    status, _, headers = ask("POST", LINKS.url(ADA), ONE_CLICK, encoded=encoded, content_type=FORM)
    assert status == 200
    assert "location" not in {name.lower() for name in headers}
    (row,) = page.items("Suppression")
    assert (row["email"], row["suppressionType"]) == ("news#ada@example.com", "unsubscribe")
    assert (row["reason"], row["addedBy"]) == ("one-click", "recipient")
    (told,) = page.status_events()
    assert told == {
        "address": "ada@example.com",
        "topic": "news",
        "subscribed": False,
        "via": "one-click",
        "timestamp": row["addedToSuppressionDate"],
    }


def test_one_click_counts_with_a_line_end_and_without_a_content_type(page: Cloud) -> None:
    assert ask("POST", LINKS.url(ADA), f"{ONE_CLICK}\r\n")[0] == 200
    assert rows(page) == {"news#ada@example.com"}


def test_one_click_may_come_as_multipart_form_data(page: Cloud) -> None:
    body = '--b\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--b--\r\n'
    status, _, _ = ask("POST", LINKS.url(ADA), body, content_type="multipart/form-data; boundary=b")
    assert status == 200
    assert rows(page) == {"news#ada@example.com"}


def test_one_click_twice_is_the_same_and_told_twice(page: Cloud) -> None:
    for _ in range(2):
        assert ask("POST", LINKS.url(ADA), ONE_CLICK, content_type=FORM)[0] == 200
    assert rows(page) == {"news#ada@example.com"}
    assert [told["subscribed"] for told in page.status_events()] == [False, False]


def test_a_link_signed_with_the_previous_key_still_works(page: Cloud) -> None:
    old = UnsubscribeLinks("https://page.example/", ["old"])
    assert ask("POST", old.url(ADA), ONE_CLICK, content_type=FORM)[0] == 200
    assert rows(page) == {"news#ada@example.com"}


# -- the page ------------------------------------------------------------------------------------------------


def test_opening_the_link_changes_nothing_and_shows_the_topics_with_their_names(page: Cloud) -> None:
    status, html, headers = ask("GET", LINKS.url(ADA))
    assert status == 200
    assert rows(page) == set()
    assert page.status_events() == []
    assert "The &lt;News&gt;" in html
    assert "Offers" in html
    assert "ada@example.com" in html
    assert "<script" not in html
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "form-action 'self'" in policy
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"


def test_a_scanner_that_asks_for_the_head_alone_learns_that_the_link_works(page: Cloud) -> None:
    status, _, headers = ask("HEAD", LINKS.url(ADA), ONE_CLICK, content_type=FORM)
    assert (status, headers["Referrer-Policy"]) == (200, "no-referrer")
    assert rows(page) == set()
    assert page.status_events() == []


def test_a_button_ends_a_topic_and_undo_takes_it_back(page: Cloud) -> None:
    status, html = press("unsubscribe", "offers")
    assert status == 200
    assert rows(page) == {"offers#ada@example.com"}
    assert 'value="subscribe">Undo' in html
    status, html = press("subscribe", "offers")
    assert rows(page) == set()
    assert [(told["topic"], told["subscribed"], told["via"]) for told in page.status_events()] == [
        ("offers", False, "page"),
        ("offers", True, "page"),
    ]


def test_everything_can_be_ended_and_allowed_again(page: Cloud) -> None:
    _, html = press("unsubscribe", "*")
    assert rows(page) == {"*#ada@example.com"}
    assert "You get these emails" not in html
    assert "Allow emails again" in html
    press("subscribe", "*")
    assert rows(page) == set()


@pytest.mark.usefixtures("page")
def test_a_topic_alone_is_not_said_to_be_back_while_everything_is_off() -> None:
    press("unsubscribe", "*")
    status, html = press("subscribe", "news")  # the undo of a page that was opened before
    assert status == 200
    assert "again." not in html
    assert html.count(ENGLISH.unsubscribed) == 2
    assert "Allow emails again" in html


def test_a_topic_of_the_link_that_is_not_configured_is_shown_by_its_own_name(page: Cloud) -> None:
    other = Subscription("beta-club", "ada@example.com")
    assert "beta-club" in ask("GET", LINKS.url(other))[1]
    assert press("unsubscribe", "beta-club", other)[0] == 200
    assert rows(page) == {"beta-club#ada@example.com"}


def test_an_address_nobody_has_written_to_gets_the_same_page(page: Cloud) -> None:
    nobody = Subscription("news", "nobody@example.com")
    known = ask("GET", LINKS.url(ADA))[1]
    assert ask("GET", LINKS.url(nobody))[1] == known.replace("ada@", "nobody@")
    assert rows(page) == set()


def test_the_page_touches_no_row_of_another_type_and_tells_of_no_change(page: Cloud) -> None:
    page.put("Suppression", email="news#ada@example.com", suppressionType="manual", reason="asked for")
    assert press("unsubscribe", "news")[0] == 503
    assert page.status_events() == []
    assert press("subscribe", "news")[0] == 200
    (row,) = page.items("Suppression")
    assert (row["suppressionType"], row["reason"]) == ("manual", "asked for")


@pytest.mark.parametrize(
    ("accept", "code"), [("de-CH,de;q=0.9,en;q=0.5", "de"), ("pt,fr;q=0.1", "fr"), ("", "en")]
)
@pytest.mark.usefixtures("page")
def test_the_page_speaks_the_readers_language(accept: str, code: str) -> None:
    html = ask("GET", LINKS.url(ADA), accept_language=accept)[1]
    assert f'<html lang="{code}">' in html
    assert LANGUAGES[code].title in html


# -- what is refused -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "https://page.example/",
        "https://page.example/?t=",
        "https://page.example/?t=nonsense",
        f"https://page.example/?t={'x' * 2000}",
        UnsubscribeLinks("https://page.example/", ["another"]).url(ADA),
        LINKS.url(ADA)[:-1],
    ],
    ids=["no token", "an empty one", "nonsense", "too long", "another key", "cut off"],
)
def test_a_link_that_is_not_ours_shows_that_and_changes_nothing(page: Cloud, url: str) -> None:
    for method, body in (("GET", ""), ("POST", ONE_CLICK), ("POST", "topic=news&action=unsubscribe")):
        status, html, _ = ask(method, url, body, content_type=FORM)
        assert status == 400
        assert "This link does not work any more" in html
    assert rows(page) == set()


@pytest.mark.parametrize(
    "body", ["", "action=unsubscribe", "topic=news&action=erase", "topic=news", "%ff=%00"]
)
def test_a_form_that_is_not_the_pages_changes_nothing(page: Cloud, body: str) -> None:
    assert ask("POST", LINKS.url(ADA), body, content_type=FORM)[0] == 400
    assert rows(page) == set()


def test_a_body_that_is_not_the_base64_it_claims_to_be_is_refused(page: Cloud) -> None:
    event = request("POST", LINKS.url(ADA), ONE_CLICK, content_type=FORM) | {"isBase64Encoded": True}
    assert unsubscribe.handler(event)["statusCode"] == 400
    assert rows(page) == set()


def test_a_topic_that_the_page_does_not_show_is_refused(page: Cloud) -> None:
    assert press("unsubscribe", "security")[0] == 400
    assert rows(page) == set()


def test_a_large_body_is_refused_unread(page: Cloud) -> None:
    assert ask("POST", LINKS.url(ADA), ONE_CLICK + "&x=" + "x" * 5000, content_type=FORM)[0] == 413
    assert rows(page) == set()


@pytest.mark.usefixtures("page")
def test_another_path_or_method_is_not_there() -> None:
    assert ask("GET", "https://page.example/admin")[0] == 404
    assert ask("DELETE", LINKS.url(ADA))[0] == 404


def test_a_table_that_does_not_answer_is_told_and_nothing_is_published(
    page: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUPPRESSION_TABLE", "missing")
    status, html, _ = ask("POST", LINKS.url(ADA), ONE_CLICK, content_type=FORM)
    assert status == 503
    assert "try again" in html
    assert page.status_events() == []


@pytest.mark.parametrize("secret", ["{}", "[]", "plain", '{"current": ""}'])
def test_a_secret_of_another_shape_is_named(page: Cloud, secret: str) -> None:
    secrets = boto3.client("secretsmanager", endpoint_url=page.endpoint)
    secrets.put_secret_value(SecretId=page.name("Unsubscribe"), SecretString=secret)
    with pytest.raises(SettingsError, match="UNSUBSCRIBE_SECRET_ARN"):
        ask("GET", LINKS.url(ADA))


@pytest.mark.usefixtures("page")
def test_topics_that_can_not_be_read_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNSUBSCRIBE_TOPICS", "News")
    with pytest.raises(SettingsError, match="UNSUBSCRIBE_TOPICS must be topics with their names"):
        ask("GET", LINKS.url(ADA))


@pytest.mark.usefixtures("page")
def test_a_log_line_holds_neither_address_nor_link(caplog: pytest.LogCaptureFixture) -> None:
    url = LINKS.url(ADA)
    ask("POST", url, ONE_CLICK, content_type=FORM)
    lines = [str(vars(record)) for record in caplog.records if record.name == "sesmailengine"]
    assert "subscription-changed" in "".join(lines)
    assert "ada" not in "".join(lines)
    assert url.partition("t=")[2] not in "".join(lines)


# -- links and languages -------------------------------------------------------------------------------------


def test_a_link_is_valid_for_thirteen_months(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_800_000_000.0
    monkeypatch.setattr("time.time", lambda: now)
    token = LINKS.url(ADA).partition("t=")[2]
    monkeypatch.setattr("time.time", lambda: now + VALID_SECONDS)
    assert LINKS.read(token) == ADA
    monkeypatch.setattr("time.time", lambda: now + VALID_SECONDS + 1)
    with pytest.raises(BadLinkError, match="SignatureExpired"):
        LINKS.read(token)


def test_the_longest_address_and_topic_fit_into_a_header() -> None:
    longest = Subscription("t" * 64, f"{'a' * 64}@{'d' * 185}.org")
    url = UnsubscribeLinks(
        "https://abcdefghijklmnopqrstuvwxyz012345.lambda-url.ap-southeast-4.on.aws/", ["k"]
    ).url(longest)
    assert len(f"<{url}>") <= 995


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("es", "es"),
        ("ES-mx", "es"),
        ("en;q=0.2,de;q=0.9", "de"),
        ("de;q=0,fr", "fr"),
        ("de;q=0", "en"),
        ("*", "en"),
        ("de;q=x,es;q=0.1", "es"),
        ("x" * 5000, "en"),
    ],
)
def test_the_language_that_the_header_prefers_is_chosen(header: str, code: str) -> None:
    assert choose(header).code == code


@pytest.mark.parametrize("key", ["ada@xn--bcher-kva.example", "ada@bücher.example", "*#ada@bücher.example"])
def test_an_opt_out_that_a_person_wrote_by_hand_counts_as_every_topic_and_can_be_taken_back(
    page: Cloud, key: str
) -> None:
    """Under a bare address, and with the domain as people read it."""
    ada = Subscription("news", "ada@xn--bcher-kva.example")
    page.put("Suppression", email=key, suppressionType="unsubscribe")
    assert "Allow emails again" in ask("GET", LINKS.url(ada))[1]
    assert press("subscribe", "*", ada)[0] == 200
    assert rows(page) == set()
