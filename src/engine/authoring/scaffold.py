"""Make a new template: from the plain layout, or as a copy of a starter."""

from pathlib import Path
from typing import Final

from engine.authoring.build import BuildError, build, starters
from engine.authoring.files import (
    NAME_RULE,
    SAMPLE_FILE,
    SCHEMA_FILE,
    SOURCE_HTML,
    SOURCE_TEXT,
    is_template_name,
    json_text,
    read_text,
)
from engine.templating.template import METADATA_FILE

_HTML: Final = """\
[% extends "layout.html" %]
[% block setup %][[ part.https("action", "actionUrl") ]][% endblock %]
[% block title %]TITLE[% endblock %]
[% block preheader %]What inboxes show beside the subject.[% endblock %]
[% block content %]
<h1 class="heading">TITLE</h1>
<p class="text">Hello {{ userName }},</p>
<p class="text">say here what it is about.</p>
{% if action %}
[[ part.button("Open", "action") ]]
[[ part.address_of("action") ]]
{% endif %}
[% endblock %]
[% block reason %]
<p class="small">You receive this email because …</p>
[% endblock %]
"""

_TEXT: Final = """\
[% extends "layout.txt" %]
[% block setup %][[ part.https("action", "actionUrl") ]][% endblock %]
[% block content %]
TITLE

Hello {{ userName }},

say here what it is about.
{% if action %}

Open: {{ action }}
{% endif %}
[% endblock %]
[% block reason %]
You receive this email because …
[% endblock %]
"""

_SCHEMA: Final = {
    "properties": {
        "userName": {"type": "string", "description": "How to call the reader."},
        "actionUrl": {"type": "string", "description": "Where the button leads, an https: address."},
    }
}

_SAMPLE: Final = {
    "userName": "Ada",
    "actionUrl": "https://shop.example.com/",
    "brandName": "Northwind",
    "brandColor": "#0b6b53",
}


def create(directory: Path, name: str, *, like: str | None = None) -> Path:
    """Make the folder of a new template, built and ready to preview. Raises BuildError.

    `like` names a starter template to copy; without it, the plain layout is used.
    """
    if not is_template_name(name) or name.startswith(("_", ".")):
        raise BuildError(f"{name!r} can't name a template; expected {NAME_RULE}, and no _ or . first")
    folder = directory / name
    if folder.exists() and any(folder.iterdir()):
        raise BuildError(f"{folder} is there already")
    files = _plain_files(name) if like is None else _starter_files(like)
    folder.mkdir(parents=True, exist_ok=True)
    for file, content in files.items():
        (folder / file).write_text(content, encoding="utf-8", newline="\n")
    build(folder).write(folder)
    return folder


def _plain_files(name: str) -> dict[str, str]:
    title = name.replace("-", " ").replace("_", " ").capitalize()
    metadata = {
        "subject": title,
        "senderName": "{{ brandName | default('', true) }}",
        "senderEmail": "{{ senderEmail | default('') }}",
        "description": "",
        "requiredVariables": ["userName"],
        "optionalVariables": ["actionUrl"],
    }
    return {
        SOURCE_HTML: _HTML.replace("TITLE", title),
        SOURCE_TEXT: _TEXT.replace("TITLE", title),
        METADATA_FILE: json_text(metadata),
        SCHEMA_FILE: json_text(_SCHEMA),
        SAMPLE_FILE: json_text(_SAMPLE),
    }


def _starter_files(name: str) -> dict[str, str]:
    known = {path.name: path for path in starters()}
    if name not in known:
        raise BuildError(f"there is no starter called {name}; expected one of {', '.join(known)}")
    files = (SOURCE_HTML, SOURCE_TEXT, METADATA_FILE, SCHEMA_FILE, SAMPLE_FILE)
    return {file: read_text(known[name] / file) or "" for file in files}
