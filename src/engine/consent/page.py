"""The page itself: one form for each topic, no script, nothing from elsewhere."""

import base64
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Final

from jinja2 import Environment, StrictUndefined
from msgspec import Struct

from engine.consent.languages import Texts

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1d2430; --quiet: #566072; --paper: #fff; --ground: #eef1f5;
  --line: #d5dbe3; --accent: #0b57c2; --on-accent: #fff; --good: #e6f3ea; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8ecf2; --quiet: #a9b4c4; --paper: #1a202b;
  --ground: #11151c; --line: #333d4d; --accent: #8ab4ff; --on-accent: #0d1524; --good: #1d3527; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 17px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 36rem; margin: 0 auto; padding: 2.5rem 1.25rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .25rem; }
.address { color: var(--quiet); margin: 0 0 1.5rem; overflow-wrap: anywhere; }
.done { background: var(--good); border-radius: .5rem; padding: .9rem 1.1rem; margin: 0 0 1.25rem;
  display: flex; gap: 1rem; align-items: center; justify-content: space-between; flex-wrap: wrap; }
.done p { margin: 0; }
section { background: var(--paper); border: 1px solid var(--line); border-radius: .6rem; padding: 1.1rem;
  margin: 0 0 1rem; display: flex; gap: 1rem; align-items: center; justify-content: space-between;
  flex-wrap: wrap; }
h2 { font-size: 1.1rem; margin: 0; overflow-wrap: anywhere; }
section p { margin: 0; color: var(--quiet); }
button { font: inherit; font-weight: 600; padding: .6rem 1.1rem; border-radius: .4rem; cursor: pointer;
  border: 1px solid var(--accent); background: transparent; color: var(--accent); min-height: 44px; }
button.main { background: var(--accent); color: var(--on-accent); }
button:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.small { color: var(--quiet); font-size: .95rem; }
@media (max-width: 30rem) { section form, section button { width: 100%; } }
"""

_PAGE: Final = """<!doctype html>
<html lang="{{ texts.code }}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{{ title }}</title>
<style>STYLE</style>
</head>
<body>
<main>
<h1>{{ title }}</h1>
{% if address %}<p class="address">{{ texts.emails_to }} {{ address }}</p>{% endif %}
{% if text %}<p>{{ text }}</p>{% endif %}
{% if done %}
<div class="done" role="status"><p>{{ done.text }}</p>{{ form(done.topic, done.undo, texts.undo, "") }}</div>
{% endif %}
{% for topic in topics %}
<section>
<div>
<h2>{{ topic.name }}</h2>
<p>{{ texts.subscribed if topic.subscribed else texts.unsubscribed }}</p>
</div>
{% if not all_off %}
{% if topic.subscribed %}
{{ form(topic.topic, "unsubscribe", texts.unsubscribe, "main" if loop.first else "", topic.name) }}
{% else %}
{{ form(topic.topic, "subscribe", texts.subscribe, "", topic.name) }}
{% endif %}
{% endif %}
</section>
{% endfor %}
{% if topics %}
{% if all_off %}
{{ form("*", "subscribe", texts.subscribe_all, "main") }}
{% else %}
{{ form("*", "unsubscribe", texts.unsubscribe_all, "") }}
{% endif %}
<p class="small">{{ texts.other_mail }}</p>
{% endif %}
</main>
</body>
</html>
"""

_FORM: Final = """{% macro form(topic, action, label, kind, about="") %}
<form method="post"><input type="hidden" name="topic" value="{{ topic }}">\
<button name="action" value="{{ action }}"{% if kind %} class="{{ kind }}"{% endif %}\
{% if about %} aria-label="{{ label }}: {{ about }}"{% endif %}>{{ label }}</button></form>
{% endmacro %}
"""

_STYLE_HASH: Final = base64.b64encode(sha256(_STYLE.encode()).digest()).decode()

HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self';"
    " base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    # The address of this page is the permission to change it.
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
}

_environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
_template = _environment.from_string(_FORM + _PAGE.replace("STYLE", _STYLE))


class TopicState(Struct, frozen=True):
    """A topic as the page shows it: its key, its name, and whether its mail is sent."""

    topic: str
    name: str
    subscribed: bool


class Done(Struct, frozen=True):
    """What was just changed, in words, and the action that takes it back."""

    text: str
    topic: str
    undo: str


def subscriptions_page(
    texts: Texts, address: str, topics: Sequence[TopicState], *, all_off: bool, done: Done | None = None
) -> str:
    return _template.render(
        texts=texts, title=texts.title, text="", address=address, topics=topics, all_off=all_off, done=done
    )


def message_page(texts: Texts, title: str, text: str) -> str:
    """A page that only says something: the link is bad, or nothing could be changed."""
    return _template.render(
        texts=texts, title=title, text=text, address="", topics=(), all_off=False, done=None
    )
