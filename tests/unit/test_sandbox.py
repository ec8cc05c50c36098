"""No template reaches code, and none takes all time or memory: each attack ends at once, with a reason."""

import json
from typing import Any

import pytest

from engine.errors import FailureCode, Refused
from engine.templating.metering import BUDGET, Meter, Unfit, weigh
from engine.templating.template import compile_template

HUGE = "1000000000"
SIXTY = 60


def reason(source: str, **data: Any) -> str:
    """Why a template is refused; that it is refused in time, the run time of the tests shows."""
    with pytest.raises(Refused) as caught:
        compile_template("t", source, None, b'{"subject": "x"}').render(data)
    assert caught.value.refusal.code is FailureCode.TEMPLATE_ERROR
    return caught.value.refusal.message


@pytest.mark.parametrize(
    "source",
    [
        "{% for a in r %}{% for b in r %}{% for c in r %}{% endfor %}{% endfor %}{% endfor %}",
        "{% for a in l %}{% for b in l %}{% for c in l %}{% endfor %}{% endfor %}{% endfor %}",
        "{% for a in r %}" + "x" * 1000 + "{% endfor %}",
        "{% set a %}{% for i in r %}" + "x" * 1000 + "{% endfor %}{% endset %}",
        "{% macro m() %}" + "x" * 100_000 + "{% endmacro %}{% for i in r %}{% set a = m() %}{% endfor %}",
        "{% macro m(n) %}{% if n < 40 %}{{ m(n + 1) }}{{ m(n + 1) }}{% endif %}{% endmacro %}{{ m(0) }}",
        "{% set h = 'a' * 1900000 %}{% for i in r %}{% if 'ab' in h %}{% endif %}{% endfor %}",
        "{% set h = 'a' * 1900000 %}{% for i in r %}{% if 'ab' is in h %}{% endif %}{% endfor %}",
        "{% set h = 'a' * 1900000 %}{{ r | map('string') | select('in', h) | list | length }}",
        "{% set h = 'a' * 1900000 %}{% for i in r %}{% set x = h[1:] %}{% endfor %}",
        "{% set h = 'a' * 1900000 %}{% for i in r %}{% set x = h | upper %}{% endfor %}",
        "{% set h = 'a' * 1900000 %}{% for i in r %}{% set x = h.find('ab') %}{% endfor %}",
        "{{ r | map('center', 9000) | join | length }}",
        "{{ ('a' * 1900000) | wordwrap(1) }}",
        "{{ ('a' * 1900000) | unique | list }}",
        "{{ (['x'] * 10000) | map(attribute='" + ".".join("0" * 10_000) + "') | list | length }}",
        "{{ (['x'] * 10000) | sort(attribute='" + ",".join("0" * 10_000) + "') | length }}",
        "{{ ('a' * 900000).strip('b' * 900000 ~ 'a') }}",
        "{{ ('a' * 900000) | trim('b' * 900000 ~ 'a') }}",
        "{{ ('a' * 900000).rfind('a' * 225000 ~ 'b' ~ 'a' * 225000) }}",
        "{{ ('a' * 900000).rsplit('a' * 225000 ~ 'b' ~ 'a' * 225000) }}",
        "{{ (')' * 50000 ~ 'a)') | urlize }}",
        "{{ ('>' * 50000 ~ 'a)') | urlize }}",
    ],
)
def test_a_render_that_goes_on_and_on_runs_out_of_budget(source: str) -> None:
    assert "more work than an email may take" in reason(source, l=list(range(100)), r=list(range(90_000)))


@pytest.mark.parametrize(
    "source",
    [
        "{% for i in r %}@{% endfor %}",
        "{% for i in r if i < 0 %}{% else %}{% for j in r %}@{% endfor %}{% endfor %}",
        "{% macro m() %}@{% endmacro %}{% for i in r %}{% set x = m() %}{% endfor %}",
        "{% macro m() %}{% for i in r %}{{ caller() }}{% endfor %}{% endmacro %}{% call m() %}@{% endcall %}",
        "{% block b %}@{% endblock %}{% for i in r %}{% set x = self.b() %}{% endfor %}",
        "{% for i in r %}{% block b scoped %}@{% endblock %}{% endfor %}",
    ],
)
@pytest.mark.parametrize(
    "step",
    [
        "{% set a = o.b.c.d %}",
        "{% if n.x %}{% endif %}",
        "{% set a = [1, 2, 3] %}",
        "{% if 'a' == 'b' %}{% endif %}",
        "{% set a = not -1 %}",
        "{% set a = 'a'.format %}",
        "{% with a = o %}{% endwith %}",
    ],
)
def test_steps_that_cost_little_are_paid_where_they_repeat(source: str, step: str) -> None:
    data = {"r": list(range(5_000)), "o": {"b": {"c": {"d": 1}}}, "n": {"x": 1}}
    assert "more work than an email may take" in reason(source.replace("@", step * 1_000), **data)


@pytest.mark.parametrize(
    "source",
    [
        "{% macro m(" + ",".join(f"a{n}=o.b.c" for n in range(1_000)) + ") %}{% endmacro %}",
        "{% macro m(" + ",".join(f"a{n}" for n in range(1_000)) + ") %}{% endmacro %}",
    ],
)
def test_a_macro_pays_for_the_arguments_that_it_is_not_given(source: str) -> None:
    called = "{% for i in range(2000) %}{% set x = m() %}{% endfor %}"
    assert "more work than an email may take" in reason(source + called, o={"b": {"c": 1}})


def test_a_loop_pays_for_what_it_unpacks() -> None:
    names = ",".join(f"x{n}" for n in range(1_000))
    source = f"{{% for i in range(1000) %}}{{% for {names} in rows %}}{{% endfor %}}{{% endfor %}}"
    assert "more work than an email may take" in reason(source, rows=[[0] * 1_000] * 10)


@pytest.mark.parametrize(
    "source", ["{{ a }}" * 10, "{% macro m() %}" + "{{ a }}" * 10 + "{% endmacro %}{{ m() }}"]
)
def test_what_escaping_adds_is_paid_before_it_is_held(source: str) -> None:
    assert "more work than an email may take" in reason(source, a='"' * 400_000)


@pytest.mark.parametrize(
    "source",
    [
        "{% set a %}{% for i in r %}{% block b %}@{% endblock %}{% endfor %}{% endset %}",
        "{% set a %}{% for i in r %}{% for j in [] %}{% else %}@{% endfor %}{% endfor %}{% endset %}",
    ],
)
def test_text_that_repeats_is_paid_before_it_is_held(source: str) -> None:
    assert "more work than an email may take" in reason(
        source.replace("@", "x" * 10_000), r=list(range(5_000))
    )


def test_a_scoped_block_pays_for_the_variables_it_copies() -> None:
    many = {f"v{number}": number for number in range(20_000)}
    source = "{% for i in r %}{% block b scoped %}{% endblock %}{% endfor %}"
    assert "more work than an email may take" in reason(source, r=list(range(5_000)), **many)


def test_a_templates_variables_may_have_the_names_of_what_its_code_uses() -> None:
    source = (
        "{% set context, meter = 1, 2 %}{% set environment = 3 %}"
        "{% macro each(escaped) %}{{ escaped }}{% endmacro %}"
        "{% for kept in [4] %}{{ kept }}{% endfor %}{{ context + meter + environment }}{{ each('<') }}"
    )
    assert compile_template("t", source, None, b'{"subject": "x"}').render({}).html == "46&lt;"


@pytest.mark.parametrize("name", ["context", "environment", "escaped", "meter", "resolve", "undefined"])
def test_a_template_does_not_reach_what_its_code_uses(name: str) -> None:
    assert f"'{name}' is undefined" in reason(f"{{{{ {name}.left }}}}")


@pytest.mark.parametrize(
    "source",
    [
        "{% set a = [1] %}" + "{% set a = [[a, a], (a, {'x': a})] %}" * SIXTY,
        "{% set a = [1] %}" + "{% set a = [a, a] if a else [] %}" * SIXTY,
        "{% set a = [1] %}" + "{% set a = [[a, a] if a else []] %}" * SIXTY,
        "{% set a = [1] %}" + "{% set a = a and [a, a] %}" * SIXTY,
        "{% set a = [1] %}" + "{% set a = b | default([a, a]) %}" * SIXTY,
        "{{ 'a' * 10**9 }}",
        f"{{{{ 'a' * {HUGE} }}}}",
        f"{{{{ {HUGE} * 'a' }}}}",
        f"{{{{ [1] * {HUGE} }}}}",
        f"{{{{ 'a' | center({HUGE}) }}}}",
        f"{{{{ 'a' | center(width={HUGE}) }}}}",
        f"{{{{ 'a'.center({HUGE}) }}}}",
        f"{{{{ ''.ljust({HUGE}) }}}}",
        f"{{{{ '1'.zfill({HUGE}) }}}}",
        f"{{{{ 'a\\nb' | indent({HUGE}) }}}}",
        f"{{{{ [1] | batch({HUGE}, 0) | list }}}}",
        f"{{{{ [1] | slice({HUGE}) | list }}}}",
        f"{{{{ [[1]] | tojson({HUGE}) }}}}",
        "{{ ('a' * 1900000) | list }}",
        "{{ ('a' * 1900000) | title }}",
        "{{ ('a' * 1900000) | join('') }}",
        "{{ ('a' * 1900000) | batch(1) | list }}",
        "{{ 'abc' | slice(3300000) | list }}",
        "{{ ('aaaaaaaaaa' | safe) | replace('a', '\"' * 990000) }}",
        f"{{% filter center({HUGE}) %}}a{{% endfilter %}}",
        f"{{% set a | center({HUGE}) %}}a{{% endset %}}",
        "{{ ('a' * 1000000) | replace('a', 'b' * 1000000) }}",
        "{{ ('a' * 1000000).replace('a', 'b' * 1000000) }}",
        "{{ range(100000) | join('b' * 1000000) }}",
        "{{ ('b' * 1000000).join(['a'] * 100000) }}",
        "{{ ('%s' * 100000) | format('a' * 1000000) }}",
        "{{ '{0}' * 100000 }}{{ ('{0}' * 100000).format('a' * 1000000) }}",
        "{% set a = 'aaaaaaaaaa' %}" + "{% set a = a ~ a %}" * SIXTY,
        "{% set a = 'aaaaaaaaaa' %}" + "{% set a = a + a %}" * SIXTY,
        "{% set a = [1] %}" + "{% set a = [a, a] %}" * SIXTY,
        "{% set a = [1] %}" + "{% set a = a + a %}" * SIXTY,
        "{% set a = (1,) %}" + "{% set a = (a, a) %}" * SIXTY,
        "{% set a = {} %}" + "{% set a = {'x': a, 'y': a} %}" * SIXTY,
        "{% set a = {} %}" + "{% set a = dict(x=a, y=a) %}" * SIXTY,
        "{% set a %}aaaaaaaaaa{% endset %}" + "{% set a %}{{ a }}{{ a }}{% endset %}" * SIXTY,
    ],
)
def test_a_value_that_would_grow_without_end_is_stopped(source: str) -> None:
    assert "grow" in reason(source)


@pytest.mark.parametrize(
    "source",
    [
        "{{ 10 ** 10 ** 10 ** 10 }}",
        "{{ 9999999 ** 9999999 }}",
        "{{ 2 ** -99999999999 }}",
        "{{ 2.0 * 10 ** 400 }}",
        "{% set ns = namespace(x=3) %}{% for i in range(9999) %}{% set ns.x = ns.x * 99 %}{% endfor %}",
        "{% set ns = namespace(x=1) %}{% for i in range(9999) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
        "{% set ns = namespace(x=3) %}{% for i in range(99) %}{% set ns.x = ns.x * ns.x %}{% endfor %}",
        "{{ ('f' * 1900000) | int(0, 16) }}",
        "{{ n + 1 }}",
    ],
)
def test_a_number_that_would_grow_without_end_is_stopped(source: str) -> None:
    assert "a number grows over 300 digits" in reason(source, n=1 << 5000)


@pytest.mark.parametrize(
    "source",
    [
        f"{{{{ '%{HUGE}d' | format(1) }}}}",
        f"{{{{ '%*d' | format({HUGE}, 1) }}}}",
        f"{{{{ '%(a){HUGE}d' | format(a=1) }}}}",
        f"{{{{ '%((a)){HUGE}d' % {{'(a)': 1}} }}}}",
        f"{{{{ '%.{HUGE}f' % 1 }}}}",
        f"{{{{ '%5%%{HUGE}d' % 1 }}}}",
        f"{{{{ '{{:{HUGE}}}'.format(1) }}}}",
        f"{{{{ '{{:{{w}}}}'.format(1, w={HUGE}) }}}}",
        f"{{{{ '{{a:{HUGE}}}'.format_map({{'a': 1}}) }}}}",
        f"{{{{ ('{{:{HUGE}}}' | attr('format'))(1) }}}}",
        f"{{{{ '{{:{HUGE}}}'['format'](1) }}}}",
        f"{{{{ ('{{:{HUGE}}}' | safe).format(1) }}}}",
    ],
)
def test_a_huge_width_of_a_format_is_refused(source: str) -> None:
    assert "width must be a number up to 9,999" in reason(source)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (f"{{{{ 1.5 | round({HUGE}, 'ceil') }}}}", "round takes a precision up to 100"),
        ("{{ ([[1]] * 60000) | sum(start=[]) }}", "sum adds numbers only"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "a macro calls itself without end"),
        ("{% block a %}{{ self.a() }}{% endblock %}", "a macro calls itself without end"),
        (
            "\n{% for i in [1] recursive %}{{ loop([1]) }}{% endfor %}",
            "line 2: recursive loops are not supported",
        ),
        ("\n{% include 'x' %}", "line 2: include is not supported: a template is one file"),
        ("{% import 'x' as y %}", "import is not supported"),
        ("{% from 'x' import y %}", "import is not supported"),
        ("{% extends 'x' %}", "extends is not supported"),
        ("{{ [1] | random }}", "No filter named 'random'"),
        ("{{ lipsum() }}", "'lipsum' is undefined"),
        ("{% for x in 5 %}{% endfor %}", "TypeError: 'int' object is not iterable"),
        ("{% for x in nobody %}{% endfor %}", "'nobody' is undefined"),
        ("{{ 2.0 ** 99999 }}", "OverflowError"),
        ("{{ 1 / 0 }}", "ZeroDivisionError"),
        ("{{ [1] | map('nosuch') | list }}", "No filter named 'nosuch'"),
    ],
)
def test_what_a_template_may_not_do_is_said(source: str, says: str) -> None:
    assert says in reason(source)


@pytest.mark.parametrize(
    "written",
    [
        "{{ a }}",
        "{{ a | string }}",
        "{{ '%s' % a }}",
        "{{ '' ~ a }}",
        "{{ [a] | join }}",
        "{{ '{}'.format(a) }}",
    ],
)
def test_only_data_can_be_written_out(written: str) -> None:
    nested = "{% set a = namespace(x=1) %}" + "{% set a = namespace(x=a, y=a) %}" * SIXTY
    assert "a Namespace can't be written out" in reason(nested + written)
    assert "can't be written out" in reason("{% macro m() %}{% endmacro %}{% set a = m %}" + written)


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ '' | attr('__class__') }}",
        "{{ ''['__class__'] }}",
        "{{ cycler.__init__.__globals__ }}",
        "{{ '{0.__class__}'.format(1) }}",
        "{% macro m() %}{% endmacro %}{{ m._func }}",
        "{{ self._TemplateReference__context }}",
        "{{ d.update({'a': 2}) }}",
        "{{ l.append(2) }}",
        "{{ 'a'.encode() }}",
        "{{ 'aaa'.translate({97: 'x' * 1000}) }}",
        f"{{{{ '\\t'.expandtabs({HUGE}) }}}}",
        "{{ range.fromkeys }}",
        "{{ [l] | map(attribute='__class__') | list }}",
    ],
)
def test_nothing_but_data_and_harmless_methods_can_be_reached(source: str) -> None:
    data: dict[str, Any] = {"d": {"a": 1}, "l": [1]}
    message = reason(source, **data)
    assert "unsafe" in message or "has no attribute" in message
    assert data == {"d": {"a": 1}, "l": [1]}


@pytest.mark.parametrize(
    "source",
    [
        "{{ [1, nobody] }}",
        "{{ [1, [(nobody, 2)]] }}",
        "{% set a = {'a': [nobody]} %}",
        "{{ nobody ~ 'a' }}",
        "{{ nobody in [1] }}",
        "{{ [1 if [nobody] else 2] }}",
        "{{ [[nobody] and 1] }}",
        "{{ [not [nobody]] }}",
        "{% for i in [1] %}{{ nobody }}{% endfor %}",
        "{% macro m() %}{{ nobody }}{% endmacro %}{{ m() }}",
        "{% if false %}{% set nobody = 1 %}{% endif %}{{ nobody }}",
        "{{ nobody }}{% set nobody = 1 %}",
        "{% block b %}{{ nobody }}{% endblock %}",
    ],
)
def test_an_undefined_name_is_an_error_wherever_it_is_used(source: str) -> None:
    assert "'nobody' is undefined" in reason(source)


def test_a_name_that_python_takes_for_another_is_undefined_as_any() -> None:
    ligature = "\ufb01"
    assert f"'{ligature}' is undefined" in reason(f"{{{{ {ligature} }}}}{{% set fi = 1 %}}")


def test_indenting_is_foreseen_for_each_level() -> None:
    nested: list[Any] = [1] * 100_000
    for _ in range(300):
        nested = [nested]
    assert "grow" in reason("{{ x | tojson(4) }}", x=nested)


def test_a_large_honest_email_stays_well_within_the_budget() -> None:
    rows = [{"name": f"Item {n}", "quantity": n, "price": n * 1.5} for n in range(2_000)]
    source = (
        "{% for row in rows %}<tr><td>{{ loop.index }}</td><td>{{ row.name | upper }}</td>"
        "<td>{{ '%.2f' | format(row.price) }}</td>{% if row.quantity > 3 and loop.last %}!{% endif %}</tr>"
        "{% endfor %}"
    )
    rendered = compile_template("t", source, None, json.dumps({"subject": "x"}).encode()).render(
        {"rows": rows}
    )
    assert (rendered.html or "").count("<tr>") == 2_000


def test_a_meter_lets_exactly_its_budget_through() -> None:
    meter = Meter()
    meter.spend(BUDGET)
    with pytest.raises(Unfit):
        meter.spend(1)


def test_weighing_ends_at_the_limit_and_not_at_the_end() -> None:
    doubled: list[Any] = [1]
    for _ in range(200):
        doubled = [doubled, doubled]
    with pytest.raises(Unfit, match="grows over"):
        weigh(doubled)
