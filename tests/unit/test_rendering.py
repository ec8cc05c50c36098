"""Templates render a caller's data, as data; whatever is wrong is said with file, line and name."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import FailureCode, Refused
from engine.templating.template import MAX_PART_BYTES, Rendered, Template, compile_template

METADATA = {
    "subject": "Welcome to {{ companyName }}!",
    "senderName": "{{ companyName }} Team",
    "senderEmail": "{{ senderEmail | default('') }}",
    "description": "Welcome email for new users",
    "requiredVariables": ["userName", "companyName"],
    "optionalVariables": ["senderEmail"],
    "owner": "a field of the customer's own",
}
DATA = {"userName": "Ada", "companyName": "Northwind"}
SIMPLE = b'{"subject": "Hi"}'


def template(
    html: str | None = "<p>{{ userName }}</p>", text: str | None = "{{ userName }}", **metadata: Any
) -> Template:
    return compile_template("welcome", html, text, json.dumps(METADATA | metadata).encode())


def html_of(source: str, **data: Any) -> str | None:
    return compile_template("t", source, None, SIMPLE).render(data).html


def why_not(source: str, **data: Any) -> str:
    with pytest.raises(Refused) as caught:
        html_of(source, **data)
    assert caught.value.refusal.code is FailureCode.TEMPLATE_ERROR
    return caught.value.refusal.message


def test_a_template_tells_its_topic_and_how_long_its_emails_are_worth_sending() -> None:
    made, plain = template(topic="news", validForSeconds=1800), template()
    assert (made.topic, made.valid_for_seconds) == ("news", 1800)
    assert (plain.topic, plain.valid_for_seconds) == (None, None)


def test_the_metadata_of_the_description_renders() -> None:
    assert template().render(DATA) == Rendered(
        subject="Welcome to Northwind!",
        html="<p>Ada</p>",
        text="Ada",
        sender_email=None,
        sender_name="Northwind Team",
    )
    assert template().render(DATA | {"senderEmail": " a@example.com "}).sender_email == "a@example.com"


def test_its_version_changes_with_any_of_its_files_and_with_nothing_else() -> None:
    versions = [
        one.version for one in (template(), template(html="<b></b>"), template(text="b"), template(owner="b"))
    ]
    assert len(set(versions)) == 4
    assert template().version == versions[0]


def test_html_escapes_and_text_and_subject_do_not() -> None:
    rendered = template().render({"userName": "<b>&", "companyName": "A & B"})
    assert (rendered.html, rendered.text, rendered.subject) == (
        "<p>&lt;b&gt;&amp;</p>",
        "<b>&",
        "Welcome to A & B!",
    )


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_data_is_never_a_template(text: str) -> None:
    for hostile in (text, "{{ 7 * 7 }}" + text, "{% for x in range(9) %}" + text, "{#" + text):
        assert compile_template("t", None, "[{{ a }}]", SIMPLE).render({"a": hostile}).text == f"[{hostile}]"


@given(st.text(), st.text())
def test_no_data_puts_a_line_break_into_a_header(company: str, email: str) -> None:
    try:
        rendered = template().render({"userName": "x", "companyName": company, "senderEmail": email})
    except Refused:
        return
    for line in (rendered.subject, rendered.sender_email or "", rendered.sender_name or ""):
        assert len(line.splitlines()) <= 1
        assert "\0" not in line


@pytest.mark.parametrize("separator", ["\r\n", "\n", "\r", "\t", "\x85", "\u2028", "\u2029", "\n\n"])
def test_a_line_break_or_tab_of_the_data_is_a_space_in_subject_and_sender_name(separator: str) -> None:
    rendered = template().render(DATA | {"companyName": f"North{separator}wind"})
    assert (rendered.subject, rendered.sender_name) == ("Welcome to North wind!", "North wind Team")


@pytest.mark.parametrize("control", ["\0", "\x0b", "\x1b", "\x7f", "\x9f"])
@pytest.mark.parametrize("field", ["subject", "senderName", "senderEmail"])
def test_any_other_control_character_in_a_header_names_the_part(control: str, field: str) -> None:
    with pytest.raises(Refused, match=f"metadata.json {field}: holds a line break or control character"):
        template(**{"subject": "Hi", field: "{{ x }}"}).render(DATA | {"x": f"a{control}b"})


@pytest.mark.parametrize("separator", ["\r\nBcc: ", "\n", "\t", "\u2028"])
def test_an_address_with_a_line_break_is_refused(separator: str) -> None:
    with pytest.raises(Refused, match=r"metadata.json senderEmail: holds a line break"):
        template().render(DATA | {"senderEmail": f"a@x.org{separator}b@x.org"})


def test_space_around_a_subject_is_only_formatting() -> None:
    assert template(subject="\n  Hi {{ userName }}\n").render(DATA).subject == "Hi Ada"


@pytest.mark.parametrize(
    ("subject", "says"),
    [("{{ none }} ", "subject is empty with this data"), ("{{ 'x' * 999 }}", "longer than 998 characters")],
)
def test_a_subject_must_be_something_and_fit_a_line(subject: str, says: str) -> None:
    with pytest.raises(Refused, match=says):
        template(subject=subject).render(DATA)


def test_every_missing_required_variable_is_named_at_once_and_null_is_missing() -> None:
    with pytest.raises(Refused, match="'welcome': templateData lacks userName, companyName, required by"):
        template().render({"userName": None})


def test_an_undefined_variable_is_named_with_file_and_line() -> None:
    assert "template 't': template.html line 2: 'nobody' is undefined" in why_not("a\n{{ nobody }}")
    assert "line 3: 'dict object' has no attribute 'city'" in why_not("\n\n{{ o.city }}", o={})
    with pytest.raises(Refused, match=r"template.txt line 2: 'plan' is undefined"):
        template(text="a\n{{ plan }}").render(DATA)
    with pytest.raises(Refused, match=r"metadata.json subject: 'plan' is undefined"):
        template(subject="{{ plan }}").render(DATA)


def test_an_error_inside_a_macro_is_placed_where_it_is() -> None:
    source = "{% macro m(x) %}\n{{ x.y.z }}\n{% endmacro %}\n\n{{ m({}) }}"
    assert "line 2: 'dict object' has no attribute 'y'" in why_not(source) or "line 5" in why_not(source)


@pytest.mark.parametrize(
    ("html", "text", "metadata", "says"),
    [
        ("a\n{% if %}", None, SIMPLE, "template.html line 2: Expected an expression"),
        (None, "a\n\n{{ x", SIMPLE, "template.txt line 3: unexpected end"),
        ("{{ x | nosuch }}", None, SIMPLE, "template.html line 1: No filter named 'nosuch'"),
        ("{{ " + "9" * 5000 + " }}", None, SIMPLE, "template.html: ValueError: Exceeds the limit"),
        ("{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}", None, SIMPLE, "nested too deeply"),
        ("x", None, b'{"subject": "{{ x"}', "metadata.json subject: unexpected end"),
        ("x", None, b'{"subject": " "}', "metadata.json subject is empty"),
        ("x", None, b'{"subject": 1}', "metadata.json: Expected `str`, got `int` - at `$.subject`"),
        ("x", None, b'{"senderName": "x"}', "metadata.json: Object missing required field `subject`"),
        ("x", None, b"", "metadata.json: Input data was truncated"),
        ("x", None, b'{"subject": "x", "topic": "News"}', "metadata.json: Expected `str` matching"),
        ("x", None, b'{"subject": "x", "validForSeconds": 0}', "metadata.json: Expected `int` >= 1"),
        ("x", None, b'{"subject": "\xff"}', "metadata.json: "),
        (None, None, SIMPLE, "has neither template.html nor template.txt"),
    ],
)
def test_what_does_not_compile_is_said_with_its_place(
    html: str | None, text: str | None, metadata: bytes, says: str
) -> None:
    with pytest.raises(Refused) as caught:
        compile_template("broken", html, text, metadata)
    assert caught.value.refusal.code is FailureCode.TEMPLATE_ERROR
    assert caught.value.refusal.message.startswith("template 'broken': ")
    assert says in caught.value.refusal.message


def test_a_byte_order_mark_is_nothing_in_any_file() -> None:
    rendered = compile_template("t", "\ufeffx", "\ufeffy", b"\xef\xbb\xbf" + SIMPLE).render({})
    assert (rendered.subject, rendered.html, rendered.text) == ("Hi", "x", "y")
    with pytest.raises(Refused, match=r"template.html line 1: unexpected end"):
        compile_template("t", "\ufeff{{ x", None, SIMPLE)
    with pytest.raises(Refused, match=r"metadata.json: JSON is malformed"):
        compile_template("t", "x", None, b"\xef\xbb\xbf{]")


def test_one_body_is_enough_and_a_blank_one_counts_as_none() -> None:
    assert template(text=None).render(DATA).text is None
    assert template(html=None).render(DATA).html is None
    assert template(text=" \n{% if false %}x{% endif %}").render(DATA).text is None
    with pytest.raises(Refused, match="nothing but space comes out"):
        template(html=" ", text="").render(DATA)


def test_a_null_character_in_a_body_is_refused() -> None:
    assert "template.html: holds a null character" in why_not("{{ a }}", a="\0")


def test_what_cannot_be_written_in_utf_8_is_refused() -> None:
    assert "surrogates not allowed" in why_not("{{ a }}", a="\ud800")


def test_a_part_may_have_a_million_bytes_and_not_one_more() -> None:
    assert len(html_of("{{ a }}", a="x" * MAX_PART_BYTES) or "") == MAX_PART_BYTES
    assert "more than 1,000,000 bytes" in why_not("{{ a }}x", a="x" * MAX_PART_BYTES)
    assert "more than 1,000,000 bytes" in why_not("{{ a }}", a="é" * (MAX_PART_BYTES // 2) + "x")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ a }}{{ 'x' ~ a }}{{ a | upper }}{{ '%s' | format(a) }}{{ [a, 'y'] | join }}", "xy"),
        ("{{ a | default('D') }}{{ o.a | default('D') }}{{ l[0] | default('D') }}", "DDD"),
        ("{{ o.get('a') | default('D') }}{{ l | map('default', 'D') | join }}", "DDb"),
        ("{{ a.b | default('D') }}{{ o.a.b | default('D') }}", "DD"),
        ("{% for x in a %}x{% else %}none{% endfor %}{% for x in o.a %}x{% endfor %}", "none"),
        ("{{ a | length }}{{ a | list | length }}{{ 1 in a }}", "00False"),
        ("{{ a is defined }}{{ a is none }}{{ a == none }}{{ 'x' if a else 'y' }}", "FalseTrueTruey"),
        ("{{ a | int }}{{ a | float(2) }}", "02"),
        ("{{ o | tojson }}", '{"a": null}'),
    ],
)
def test_null_counts_as_not_given_at_any_depth(source: str, expected: str) -> None:
    assert html_of("." + source, a=None, o={"a": None}, l=[None, "b"]) == "." + expected


def test_to_reckon_with_null_is_an_error_that_names_it() -> None:
    assert "template.html line 1: 'a' is null" in why_not("{{ o.a + 1 }}", o={"a": None})
    assert "'None' has no attribute 'city'" in why_not("{{ a.city }}", a=None)


def test_data_that_is_nested_too_deeply_is_refused() -> None:
    nested: list[Any] = []
    for _ in range(5_000):
        nested = [nested]
    assert "template 't': templateData is nested too deeply" in why_not("x", a=nested)


def test_a_field_comes_before_the_method_of_that_name() -> None:
    order = {"items": [{"values": "pen"}], "keys": 2}
    assert html_of("{% for i in o.items %}{{ i.values }}{% endfor %}{{ o.keys }}", o=order) == "pen2"
    assert html_of("{% for k, v in o.items() %}{{ k }}={{ v }}{% endfor %}", o={"a": 1}) == "a=1"


def test_rendering_leaves_the_data_alone_and_can_be_repeated() -> None:
    data = {"o": {"a": [1]}}
    source = "{% set o = 1 %}{{ o }}"
    assert html_of(source, **data) == html_of(source, **data) == "1"
    assert data == {"o": {"a": [1]}}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ '{:,.2f}'.format(p) }} {{ '%.2f' | format(p) }} {{ '%05.1f' % p }}", "1,234.50 1234.50 1234.5"),
        ("{{ '{p:>8}'.format_map({'p': p}) }}", "  1234.5"),
        ("{{ names | join(', ') }}{{ ', '.join(names) }}", "b, ab, a"),
        ("{{ names | sort | first }}{{ names | length }}{{ names[:1] | join }}", "a2b"),
        ("{% for n in names %}{{ loop.index }}{{ n }}{{ ',' if not loop.last }}{% endfor %}", "1b,2a"),
        ("{% for n in [] %}x{% else %}none{% endfor %}", "none"),
        (
            "{% set s = namespace(t=0) %}{% for n in [1, 2] %}{% set s.t = s.t + n %}{% endfor %}{{ s.t }}",
            "3",
        ),
        (
            "{% macro b(x) %}<b>{{ x }}</b>{{ caller() }}{% endmacro %}{% call b('<') %}!{% endcall %}",
            "<b>&lt;</b>!",
        ),
        ("{% block a scoped %}x{% endblock %}{{ self.a() }}", "xx"),
        ("{% for n in names %}{% block b scoped %}{{ n | upper }}{% endblock %}{% endfor %}", "BA"),
        ("{% filter upper %}a{% endfilter %}{% set x | trim %} y {% endset %}{{ x }}", "Ay"),
        ("{{ [{'g': 1, 'n': 'x'}] | groupby('g') | map(attribute='list') | list | length }}", "1"),
        ("{% for b in [1, 2, 3] | batch(2) %}{{ b | sum }}{% endfor %}{{ range(3) | sum }}", "333"),
        ("{{ -p | abs | round | int }}{{ p | round(1) }}{{ 1000000 | round(2) }}", "12341234.51000000"),
        ("{{ 'a b' | replace('a', 'c') | title }}{{ p is number }}{{ 'a' in names }}", "C BTrueTrue"),
        ("{% autoescape false %}{{ '<' ~ '>' }}{% endautoescape %}{{ '<' ~ '>' }}", "<>&lt;&gt;"),
        ("{{ '<' | safe ~ '<' }}", "<&lt;"),
        (
            "{% set c = cycler(1, 2) %}{{ c.next() }}{{ c.next() }}{% set j = joiner() %}{{ j() }}{{ j() }}",
            "12, ",
        ),
        (
            "{{ {'b': 1, 'a': 2} | dictsort | first | first }}{{ {'k': 'v'}.get('k') }}{{ (1, 2) | last }}",
            "av2",
        ),
        ("{{ nothing | default('x') }}{{ nothing is defined }}", "xFalse"),
        ("{{ {'a': [1]} | tojson(1) }}", '{\n "a": [\n  1\n ]\n}'),
        (
            "{{ [{'o': {'n': 1}}] | map(attribute='o.n') | first }}{{ 'xax'.strip('x') }}{{ ' b ' | trim }}",
            "1ab",
        ),
        (
            "{{ 'a.b.c'.rsplit('.', 1) | last }}{{ 'see (www.a.org).' | urlize | striptags }}",
            "csee (www.a.org).",
        ),
        ("{{ 2 ** 10 }}{{ 7 // 2 }}{{ 7 % 4 }}{{ 'ab' * 2 }}{{ ([1] + [2]) | length }}", "102433abab2"),
    ],
)
def test_what_templates_commonly_do_works(source: str, expected: str) -> None:
    assert html_of(source, p=1234.5, names=["b", "a"]) == expected
