"""Sources become templates: parts put in, CSS inlined, Jinja untouched, variables declared."""

import json
from pathlib import Path
from typing import Any

import pytest

from engine.authoring.build import BuildError, build
from engine.authoring.files import BadFileError
from engine.authoring.folder import Folder, NoTemplateError, find_folder, find_folders
from engine.authoring.inlining import BadSource, inline, joined_blocks
from engine.authoring.lint import lint
from engine.authoring.scaffold import create
from engine.errors import Refused

PAGE = "<!doctype html><html><head><title>{}</title></head><body>{}</body></html>"


def source(folder: Path, html: str, **metadata: Any) -> Path:
    folder.mkdir(parents=True)
    (folder / "source.html").write_text(html)
    told = {"subject": "Hi", "requiredVariables": [], "optionalVariables": []} | metadata
    (folder / "metadata.json").write_text(json.dumps(told))
    return folder


def inlined(body: str, css: str = "", screen: str = "", title: str = "t") -> str:
    return inline(PAGE.format(title, body), css, screen)


def test_css_goes_into_the_elements_before_what_they_say_themselves() -> None:
    assert '<p style="margin:0;color:red">' in inlined(
        '<p class="a" style="color:red">x</p>', ".a { margin: 0; color: blue }"
    )


def test_statements_stay_where_they_are_between_the_rows_of_a_table() -> None:
    table = "<table>{% for row in rows %}<tr><td>{{ row }}</td></tr>{% endfor %}</table>"
    assert table in inlined(table)


@pytest.mark.parametrize(
    "kept",
    [
        '<a href="{{ url if url > 1 }}">x</a>',
        '<td style="color:{{ c }}">&nbsp;&middot;</td>',
        "{# a note #}",
        "{% if a and b > c %}<b>x</b>{% endif %}",
        "<!--[if mso]><table><tr><td width={{ w }}><![endif]-->",
        "<!--[if !mso]><!--><a>x</a><!--<![endif]-->",
    ],
)
def test_an_html_parser_changes_nothing_of_jinja_entities_and_outlooks_comments(kept: str) -> None:
    body = f"<table><tr>{kept}</tr></table>" if kept.startswith("<td") else kept
    assert kept in inlined(body)


def test_jinja_in_the_title_survives() -> None:
    assert "<title>{{ a & b }}</title>" in inlined("x", title="{{ a & b }}")


def test_jinja_between_attributes_is_refused_by_name() -> None:
    with pytest.raises(BadSource, match="stands between attributes"):
        inlined("<p {% if a %}class='b'{% endif %}>x</p>")
    with pytest.raises(BadSource, match="no <!doctype html>"):
        inline("<p>x</p>", "", "")


def test_classes_are_kept_only_for_the_style_sheet_that_stays() -> None:
    html = inlined('<p class="a b">x</p><i class="c">y</i><!--screen.css-->', "", ".b { color: red }")
    assert '<p class="b">x</p><i>y</i><style>\n.b { color: red }\n</style>' in html


def test_a_line_of_statements_alone_leaves_no_empty_line() -> None:
    assert joined_blocks("a\n  {% if x %}\nb\n{% endif %}{% if y %}\nc{% endif %}\n{{ d }}\n") == (
        "a\n{% if x %}b\n{% endif %}{% if y %}c{% endif %}\n{{ d }}\n"
    )


def test_optional_variables_that_are_used_have_a_default_and_the_brand_is_listed(tmp_path: Path) -> None:
    folder = source(
        tmp_path / "t",
        "<!doctype html><p>{% if plan %}{{ plan }}{% endif %}{{ who }}</p><i>{{ supportEmail }}</i>",
        requiredVariables=["who"],
        optionalVariables=["plan", "other"],
    )
    files = build(folder).files
    assert files["template.html"].startswith(
        "{%- set plan = plan | default('', true) -%}\n"
        "{%- set brandColor = brandColor | default('', true) -%}\n"
        "{%- set supportEmail = supportEmail | default('', true) -%}\n"
    )
    assert json.loads(files["metadata.json"])["optionalVariables"] == [
        "plan",
        "other",
        "brandColor",
        "supportEmail",
    ], "the style sheet for dark screens has the brand's colour in it"


def test_building_twice_changes_nothing(tmp_path: Path) -> None:
    folder = create(tmp_path, "twice", like="invoice")
    assert build(folder).stale(folder) == []
    assert build(folder).write(folder) == []
    (folder / "template.txt").write_text("mine")
    assert build(folder).write(folder) == ["template.txt"]


def test_a_folder_without_a_source_is_left_alone(tmp_path: Path) -> None:
    assert build(tmp_path).files == {}


def test_a_brand_file_beside_the_templates_gives_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "brand.json").write_text(
        json.dumps({"brandName": "Owl's Nest", "brandColor": "#AA3300", "companyAddress": "1 Wood Lane"})
    )
    folder = Folder(create(tmp_path, "mine"))
    html = folder.render({"userName": "Ada"}).html or ""
    assert "Owl&#39;s Nest" in html
    assert "background-color:#aa3300" in html
    assert "1 Wood Lane" in html
    assert "Tea House" in (folder.render({"userName": "Ada", "brandName": "Tea House"}).html or "")


@pytest.mark.parametrize("colour", ["#2453D6", "#000", "#ffffff", "#ffe600", "#777777", "#0b6b53"])
def test_a_colour_of_the_brand_file_and_one_of_the_request_make_the_same_email(
    tmp_path: Path, colour: str
) -> None:
    data = {"userName": "Ada", "orderNumber": "1", "items": [], "total": "1"}
    asked = Folder(create(tmp_path / "asked", "mine", like="order-confirmation"))
    (tmp_path / "told").mkdir()
    (tmp_path / "told" / "brand.json").write_text(json.dumps({"brandColor": colour}))
    told = Folder(create(tmp_path / "told", "mine", like="order-confirmation"))
    assert asked.render(data | {"brandColor": colour}).html == told.render(data).html


def test_a_colour_of_the_brand_file_must_be_one(tmp_path: Path) -> None:
    (tmp_path / "brand.json").write_text(json.dumps({"brandColor": "red"}))
    with pytest.raises(BuildError, match=r"brand.json: brandColor 'red' is no colour; expected #rgb"):
        create(tmp_path, "mine")


def test_a_layout_beside_the_templates_comes_before_that_of_the_package(tmp_path: Path) -> None:
    layout = tmp_path / "_layout"
    layout.mkdir()
    (layout / "layout.html").write_text("<!doctype html><p>Mine: [% block content %][% endblock %]</p>")
    folder = create(tmp_path, "mine")
    assert ">Mine: " in (folder / "template.html").read_text()
    assert [one.name for one in find_folders(tmp_path)] == ["mine"]


@pytest.mark.parametrize(
    ("html", "says"),
    [
        ("[% if %]", "source.html line 1: Expected an expression"),
        ('[% extends "nothing.html" %]', "there is no part called nothing.html"),
        ("<!doctype html>[[ nobody ]]", "'nobody' is undefined"),
        ("<p>", "no <!doctype html>"),
    ],
)
def test_a_source_that_cannot_be_built_says_why(tmp_path: Path, html: str, says: str) -> None:
    with pytest.raises(BuildError, match=says):
        build(source(tmp_path / "t", html))


def test_a_byte_order_mark_is_nothing_in_any_source(tmp_path: Path) -> None:
    plain = source(tmp_path / "a" / "t", "<!doctype html><html><body>x</body></html>")
    marked = source(tmp_path / "b" / "t", "\ufeff<!doctype html><html><body>x</body></html>")
    for file in ("metadata.json", "source.txt", "schema.json"):
        content = (plain / file).read_text() if file == "metadata.json" else "{}"
        (plain / file).write_text(content)
        (marked / file).write_text("\ufeff" + content)
    assert build(marked).files == build(plain).files


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("metadata.json", "[]", r"t/metadata\.json is not a JSON object"),
        ("metadata.json", '{\n"a"', r"t/metadata\.json line 2 is not JSON"),
        ("metadata.json", None, r"t/metadata\.json is missing"),
        ("schema.json", "{", r"t/schema\.json is not JSON"),
        ("../brand.json", '{\n"a"', r"brand\.json line 2 is not JSON"),
        ("source.html", b"\xff", r"t/source\.html is not UTF-8 at byte 0"),
        ("../_layout/layout.html", b"a\xff", r"_layout/layout\.html is not UTF-8 at byte 1"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_its_line(
    tmp_path: Path, file: str, content: str | bytes | None, says: str
) -> None:
    folder = source(tmp_path / "t", '[% extends "layout.html" %]')
    path = folder / file
    path.parent.mkdir(exist_ok=True)
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(BadFileError, match=says):
        build(folder)


def test_a_byte_order_mark_in_a_source_changes_nothing_of_what_is_built(tmp_path: Path) -> None:
    folder = create(tmp_path, "mine", like="invoice")
    (tmp_path / "brand.json").write_text('{"brandName": "Owl"}')
    (tmp_path / "_layout").mkdir()
    (tmp_path / "_layout" / "email.css").write_text(".heading { margin: 0 }")
    build(folder).write(folder)
    before = build(folder).files
    for path in [*folder.iterdir(), tmp_path / "brand.json", tmp_path / "_layout" / "email.css"]:
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert build(folder).files == before
    assert build(folder).stale(folder) == []


@pytest.mark.parametrize("like", [None, "newsletter"])
def test_a_new_template_renders_and_is_without_fault(tmp_path: Path, like: str | None) -> None:
    folder = Folder(create(tmp_path, "trial-ending", like=like))
    rendered = folder.render(folder.sample() or {})
    assert rendered.html
    assert rendered.text
    assert [finding for finding in lint(folder) if finding.level != "note"] == []


def test_a_new_template_needs_a_name_of_its_own(tmp_path: Path) -> None:
    create(tmp_path, "mine")
    for name, like, says in (
        ("mine", None, "is there already"),
        ("a/b", None, "can't name a template"),
        ("_layout", None, "can't name a template"),
        ("other", "nothing", "no starter called nothing; expected one of account-alert"),
    ):
        with pytest.raises(BuildError, match=says):
            create(tmp_path, name, like=like)


def test_a_directory_without_templates_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(NoTemplateError, match=r"expected folders that hold metadata\.json"):
        find_folders(tmp_path)
    with pytest.raises(NoTemplateError, match="`sesmailengine templates new mine` makes one"):
        find_folder(tmp_path, "mine")


def test_a_folder_is_found_by_its_own_name_alone(tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    create(tmp_path, "other")
    create(tmp_path / "templates", "mine")
    assert find_folder(tmp_path / "templates", "mine").path == tmp_path / "templates" / "mine"
    for name in ("../other", "mine/../../other", str(tmp_path / "other"), "."):
        with pytest.raises(NoTemplateError):
            find_folder(tmp_path / "templates", name)


def test_a_folder_that_is_a_template_is_taken_for_one(tmp_path: Path) -> None:
    assert [folder.name for folder in find_folders(create(tmp_path, "mine"))] == ["mine"]


def test_a_file_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    folder = Folder(create(tmp_path, "mine"))
    (folder.path / "template.txt").write_bytes(b"\xff")
    with pytest.raises(BadFileError, match=r"template.txt is not UTF-8 at byte 0"):
        folder.read("template.txt")


def test_what_a_template_refuses_it_refuses_here_too(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="lacks userName"):
        Folder(create(tmp_path, "mine")).render({})
