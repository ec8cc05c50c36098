"""A new template, out of the layout or after the pattern of a starter."""

import json
import re
from pathlib import Path
from shutil import copyfile
from typing import Final

from engine.authoring.build import (
    SAMPLE_FILE,
    SCHEMA_FILE,
    SOURCE_HTML,
    SOURCE_TEXT,
    BuildError,
    build,
    starters,
)
from engine.templating.template import METADATA_FILE

_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")

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
    """The folder of a new template, built and ready to look at; raises BuildError.

    `like` names a starter template to begin with, the plain layout otherwise.
    """
    if not _NAME.fullmatch(name) or ".." in name or name.startswith(("_", ".")):
        raise BuildError(f"{name!r} can't name a template; expected letters, digits and . _ -, at most 64")
    folder = directory / name
    if folder.exists() and any(folder.iterdir()):
        raise BuildError(f"{folder} is there already")
    folder.mkdir(parents=True, exist_ok=True)
    if like is None:
        _from_layout(folder)
    else:
        _from_starter(folder, like)
    build(folder).write(folder)
    return folder


def _from_layout(folder: Path) -> None:
    title = folder.name.replace("-", " ").replace("_", " ").capitalize()
    metadata = {
        "subject": title,
        "senderName": "{{ brandName | default('', true) }}",
        "senderEmail": "{{ senderEmail | default('') }}",
        "description": "",
        "requiredVariables": ["userName"],
        "optionalVariables": ["actionUrl"],
    }
    for file, content in (
        (SOURCE_HTML, _HTML.replace("TITLE", title)),
        (SOURCE_TEXT, _TEXT.replace("TITLE", title)),
        (METADATA_FILE, _json(metadata)),
        (SCHEMA_FILE, _json(_SCHEMA)),
        (SAMPLE_FILE, _json(_SAMPLE)),
    ):
        (folder / file).write_text(content, encoding="utf-8", newline="\n")


def _from_starter(folder: Path, like: str) -> None:
    known = {path.name: path for path in starters()}
    if like not in known:
        raise BuildError(f"there is no starter called {like}; expected one of {', '.join(known)}")
    for file in (SOURCE_HTML, SOURCE_TEXT, METADATA_FILE, SCHEMA_FILE, SAMPLE_FILE):
        copyfile(known[like] / file, folder / file)


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
