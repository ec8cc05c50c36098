"""Every check finds what it is for, with file and line, and says what was expected."""

import json
from pathlib import Path
from typing import Any

import pytest
from tinycss2.color3 import RGBA

from engine.authoring.contrast import contrast, low_contrast_texts
from engine.authoring.findings import LintFinding
from engine.authoring.folder import Folder
from engine.authoring.lint import lint
from engine.authoring.markup import parse_page, with_lines, without_jinja
from engine.authoring.scaffold import create
from engine.authoring.support import unsupported
from engine.authoring.support_data import condense

GOOD = '<!doctype html>\n<html lang="en">\n<body>\n<p>Hello {{ userName }}</p>\n{}\n</body></html>\n'


def template(
    path: Path,
    body: str = "",
    *,
    html: str | None = GOOD,
    text: str | None = "Hello {{ userName }}",
    sample: dict[str, Any] | None = None,
    **metadata: Any,
) -> Folder:
    folder = path / "mine"
    folder.mkdir()
    if html is not None:
        (folder / "template.html").write_text(html.replace("{}", body))
    if text is not None:
        (folder / "template.txt").write_text(text)
    told = {"subject": "Hi", "requiredVariables": ["userName"], "optionalVariables": []} | metadata
    (folder / "metadata.json").write_text(json.dumps(told, indent=1))
    (folder / "sample.json").write_text(json.dumps({"userName": "Ada"} if sample is None else sample))
    return Folder(folder)


def serious(folder: Folder) -> list[LintFinding]:
    return [finding for finding in lint(folder) if finding.level != "note"]


def places(folder: Folder) -> list[tuple[str, int, str, str]]:
    return [(one.file, one.line, one.code, one.level) for one in serious(folder)]


def test_a_template_without_fault_has_no_findings(tmp_path: Path) -> None:
    assert serious(template(tmp_path)) == []


@pytest.mark.parametrize(
    ("body", "line", "code"),
    [
        ("{{ nobody }}", 5, "variable-undeclared"),
        ("\n{% if %}", 6, "syntax"),
        ('<img src="https://x.example/a.png" width="1">', 5, "alt"),
        ('<img src="a.png" alt="" width="1">', 5, "image-source"),
        ('\n\n<a href="http://x.example">x</a>', 7, "link"),
        ('<a href="">x</a>', 5, "link"),
        ('<a href="javascript:alert(1)">x</a>', 5, "link"),
        ('<a href="http://[">x</a>', 5, "link"),
        ("<script>x</script>", 5, "forbidden"),
        ('<p onclick="x()">x</p>', 5, "forbidden"),
        ('<link rel="stylesheet" href="https://x.example/a.css">', 5, "forbidden"),
        ('<div style="display:flex">x</div>', 5, "css-display-flex"),
        ('<div style="width:calc(1px + 2px)">x</div>', 5, "css-unit-calc"),
        ("<video></video>", 5, "html-video"),
        ('<img src="https://x.example/a.webp?x" alt="" width="1">', 5, "image-webp"),
        ("<style>\n@import url(https://x.example);\n</style>", 6, "css-at-import"),
        ("<style>\n\n.a::before { content: 'x' }\n</style>", 7, "css-pseudo-element-before"),
        ('<p style="color:#777;background:#888">faint</p>', 5, "contrast"),
    ],
)
def test_an_error_is_found_where_it_is(tmp_path: Path, body: str, line: int, code: str) -> None:
    found = places(template(tmp_path, body))
    assert ("template.html", line, code, "error") in found, found


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ('<a href="{{ userName }}">x</a>', "link-unchecked"),
        ("<table><tr><td>x</td></tr></table>", "table-role"),
        ('<img src="https://x.example/a.png" alt="">', "image-size"),
    ],
)
def test_a_warning_is_found_where_it_is(tmp_path: Path, body: str, code: str) -> None:
    sample = {"userName": "https://x.example"}
    assert ("template.html", 5, code, "warning") in places(template(tmp_path, body, sample=sample))


@pytest.mark.parametrize(
    "body",
    [
        "<a href=\"{{ userName if userName[:8] == 'https://' else 'https://x.example' }}\">x</a>",
        '<table role="presentation"><tr><td>x</td></tr></table>',
        "<table><tr><th>a</th><td>x</td></tr></table>",
        "<style>@media (max-width: 480px) { .a { display: flex } }</style>",
        '<p style="color:#767676">just enough</p>',
        '<h1 style="font-size:24px;color:#949494">large</h1>',
        '<h1 style="font-size:19px;font-weight:700;color:#949494">large and bold</h1>',
        '<p style="display:none;color:#fff">not seen</p>',
        '<p style="color:{{ userName }}">no colour</p>',
        "{% if userName %}{% set short = userName[:9] %}{{ short }}{% endif %}",
    ],
)
def test_what_is_well_is_left_alone(tmp_path: Path, body: str) -> None:
    sample = {"userName": "https://x.example"}
    assert [
        one for one in serious(template(tmp_path, body, sample=sample)) if one.code != "css-display-none"
    ] == []


def test_variables_that_are_listed_and_used_nowhere_are_found_in_the_metadata(tmp_path: Path) -> None:
    folder = template(tmp_path, optionalVariables=["plan"])
    assert places(folder) == [("metadata.json", 7, "variable-unused", "error")]


def test_variables_of_the_subject_are_found_in_the_metadata(tmp_path: Path) -> None:
    folder = template(tmp_path, subject="{{ company }}")
    assert ("metadata.json", 2, "variable-undeclared", "error") in places(folder)


def test_an_optional_variable_that_is_used_without_care_is_found(tmp_path: Path) -> None:
    folder = template(
        tmp_path, "{{ plan }}", optionalVariables=["plan"], sample={"userName": "A", "plan": "B"}
    )
    (finding,) = serious(folder)
    assert (finding.file, finding.line, finding.code) == ("template.html", 5, "rendering")
    assert finding.message == "'plan' is undefined (with the required variables alone)"


def test_missing_parts_are_found(tmp_path: Path) -> None:
    assert places(template(tmp_path, text=None)) == [("template.txt", 1, "text-missing", "error")]
    (tmp_path / "b").mkdir()
    assert places(template(tmp_path / "b", html=None)) == [("template.html", 1, "html-missing", "warning")]


def test_without_a_sample_what_needs_none_is_still_checked(tmp_path: Path) -> None:
    folder = template(tmp_path, '<div style="display:grid"></div>', sample={})
    assert [one.code for one in serious(folder)] == ["sample-missing", "css-display-grid"]


@pytest.mark.parametrize(("length", "level"), [(59_000, None), (70_000, "warning"), (103_000, "error")])
def test_an_email_that_gmail_cuts_is_an_error_and_one_that_nears_it_a_warning(
    tmp_path: Path, length: int, level: str | None
) -> None:
    found = [one.level for one in lint(template(tmp_path, "x" * length)) if one.code == "size"]
    assert set(found) == ({level} if level else set())


def test_an_unreadable_metadata_is_said_in_the_engines_words(tmp_path: Path) -> None:
    folder = template(tmp_path)
    (folder.path / "metadata.json").write_text("{")
    (finding,) = serious(folder)
    assert (finding.file, finding.code) == ("metadata.json", "syntax")


def test_a_required_variable_that_the_sample_lacks_is_found(tmp_path: Path) -> None:
    folder = template(tmp_path, sample={"other": "x"})
    (finding,) = serious(folder)
    assert (finding.file, finding.code) == ("metadata.json", "rendering")
    assert finding.message == "templateData lacks userName, required by metadata.json (with sample.json)"


def test_schema_and_sample_must_agree_with_the_metadata(tmp_path: Path) -> None:
    folder = template(tmp_path)
    schema = {"required": [], "properties": {"userName": {"type": "integer"}, "plan": {}}}
    (folder.path / "schema.json").write_text(json.dumps(schema, indent=1))
    found = serious(folder)
    assert [(one.file, one.line, one.code) for one in found] == [
        ("sample.json", 1, "sample"),
        ("schema.json", 2, "schema"),
        ("schema.json", 3, "schema"),
    ]
    assert "differ: userName" in found[1].message
    (folder.path / "schema.json").write_text('{"type": 7}')
    assert "is no JSON Schema" in serious(folder)[0].message


@pytest.mark.parametrize("name", ["my template", "a..b", "n" * 65, "größe"])
def test_a_folder_that_no_request_can_name_is_an_error(tmp_path: Path, name: str) -> None:
    folder = template(tmp_path)
    found = serious(Folder(folder.path.rename(tmp_path / name)))
    assert [(one.file, one.code, one.level) for one in found if one.code == "name"] == [
        ("metadata.json", "name", "error")
    ]
    assert f"no request can name a template {name!r}; expected 1 to 64 of A-Z" in found[0].message


@pytest.mark.parametrize(
    ("file", "content", "line", "says"),
    [
        ("sample.json", b'{\n"a":', 2, "is not JSON: Expecting value"),
        ("sample.json", b"[]", 1, "is not a JSON object"),
        ("schema.json", b"{", 1, "is not JSON: Expecting property name"),
        ("schema.json", b"true", 1, "is not a JSON object"),
        ("template.txt", b"\xff", 1, "is not UTF-8 at byte 0"),
        ("template.html", b"\xff", 1, "is not UTF-8 at byte 0"),
    ],
)
def test_a_file_that_cannot_be_read_is_found_by_name_and_line_beside_the_other_findings(
    tmp_path: Path, file: str, content: bytes, line: int, says: str
) -> None:
    folder = template(tmp_path, text="Hello {{ userName }}", optionalVariables=["plan"])
    (folder.path / file).write_bytes(content)
    found = serious(folder)
    assert [(one.file, one.line) for one in found if one.code == "unreadable"] == [(file, line)]
    assert any(says in one.message for one in found)


def test_a_byte_order_mark_in_any_file_is_read_as_nothing(tmp_path: Path) -> None:
    folder = Folder(create(tmp_path, "mine"))
    before = lint(folder)
    for path in folder.path.iterdir():
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert lint(Folder(folder.path)) == before
    assert "\ufeff" not in str(folder.render(folder.sample() or {}))


def test_what_is_not_built_is_found(tmp_path: Path) -> None:
    folder = Folder(create(tmp_path, "mine"))
    (folder.path / "template.txt").write_text("Hello {{ userName }} {{ actionUrl | default('') }}")
    assert ("template.txt", 1, "stale", "error") in places(folder)
    (folder.path / "source.html").write_text("[% if %]")
    assert ("source.html", 1, "build", "error") in places(folder)


def test_a_template_may_accept_a_finding_by_name_and_with_a_reason(tmp_path: Path) -> None:
    gap = '<div style="gap:1px">x</div>'
    assert [one.code for one in serious(template(tmp_path, gap))] == ["css-gap"]
    (tmp_path / "b").mkdir()
    accepted = "{# accept: css-gap because only our own staff reads this #}" + gap
    assert serious(template(tmp_path / "b", accepted)) == []


def test_what_goes_missing_without_harm_is_only_noted(tmp_path: Path) -> None:
    found = lint(template(tmp_path, '<p style="border-radius:4px">x</p>'))
    (note,) = [one for one in found if one.code == "css-border-radius"]
    assert note.level == "note"
    assert "Outlook on Windows" in note.message
    assert note.message.endswith("corners are square there")


def test_dark_screens_are_judged_by_their_own_rules() -> None:
    page = parse_page(
        "<style>@media (prefers-color-scheme: dark) { .card { background-color: #111 !important }"
        " .card, h1 { color: #222 } .ok { color: #fff } }</style>"
        '<div class="card" style="background-color:#fff;color:#000">dim<p class="ok">fine</p></div>'
    )
    (faint,) = low_contrast_texts(page)
    assert faint.message() == "'dim' is #222222 on #111111 (dark): contrast 1.2, expected at least 4.5"


def test_contrast_is_what_the_guidelines_say() -> None:
    page = parse_page('<p style="color:#767676;background-color:#fff">x</p><p bgcolor="black">y</p>')
    (faint,) = low_contrast_texts(page)
    assert faint.ratio == pytest.approx(1.0)
    assert contrast(RGBA(0, 0, 0, 1), RGBA(1, 1, 1, 1)) == pytest.approx(21)


def test_lines_survive_rendering_and_blanks_keep_their_places() -> None:
    source = "{# a\nb #}<p>\n<!-- <i> --><b\n>{{ x }}</b>{% if a > b %}<br>{% endif %}</p>"
    assert with_lines(source) == (
        '{# a\nb #}<p data-line="2">\n<!-- <i> --><b data-line="3"\n>{{ x }}</b>'
        '{% if a > b %}<br data-line="4">{% endif %}</p>'
    )
    assert [(one.tag, one.line) for one in parse_page(without_jinja(source)).elements] == [
        ("p", 2),
        ("b", 3),
        ("br", 4),
    ]
    assert len(without_jinja(source)) == len(source)


def test_a_closing_tag_that_nothing_opened_is_passed_over() -> None:
    page = parse_page("</p><b>x</b></i>")
    assert [text for _, text in page.texts] == ["x"]


def test_the_tables_are_condensed_to_what_a_linter_can_see() -> None:
    def told(slug: str, title: str, category: str = "css", keywords: str | None = None) -> dict[str, Any]:
        stats = {"gmail": {"ios": {"2019": "y", "2024": "n #1"}}, "outlook": {"windows": {"2007": "y"}}}
        return {"slug": slug, "title": title, "category": category, "keywords": keywords, "stats": stats}

    rows = [
        told("css-gap", "gap, column-gap, row-gap"),
        told("css-display-flex", "display:flex"),
        told("css-unit-vw", "vw unit"),
        told("css-logical", "logical things here", keywords="border-a, border-b, other"),
        told("html-semantics", "HTML5 semantics", "html", "article, aside"),
        told("html-srcset", "srcset and sizes attributes", "html"),
        told("css-at-media-hover", "@media (hover)"),
        told("css-selector-id", "ID selector"),
        told("bimi", "BIMI", "others"),
    ]
    condensed = condense({"data": rows, "last_update_date": "2026"})
    assert {row["slug"]: row["signs"] for row in condensed["features"]} == {
        "css-gap": ["property column-gap", "property gap", "property row-gap"],
        "css-display-flex": ["value display flex"],
        "css-unit-vw": ["unit vw"],
        "css-logical": ["property border-a", "property border-b"],
        "html-semantics": ["element article", "element aside"],
        "html-srcset": ["attribute sizes", "attribute srcset"],
    }
    assert {client for row in condensed["features"] for client in row["missing"]} == {"gmail.ios"}


def test_clients_are_called_by_the_names_people_know() -> None:
    (use,) = unsupported(parse_page('<p style="position:absolute">x</p>'))
    assert "Gmail" in use.feature.message()
    assert use.feature.url == "https://www.caniemail.com/features/css-position/"
