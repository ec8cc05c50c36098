"""Inline CSS into `style` attributes, with Jinja tags hidden from the HTML parser, which would move them."""

import re
from typing import Final

import css_inline

_BLOCK_LINE: Final = re.compile(r"^[ \t]*((?:\{%(?:(?!%\})[^\n])*%\})+)[ \t]*\n", re.MULTILINE)
_JINJA: Final = re.compile(r"\{%.*?%\}|\{\{.*?\}\}|\{#.*?#\}", re.DOTALL)
_PLACEHOLDER: Final = re.compile(r"<!--jx(\d+)x-->|jx(\d+)x")
_ENTITY: Final = re.compile(r"&#?\w+;")
_QUOTED: Final = re.compile(r"\"[^\"]*\"|'[^']*'")
PIECES: Final = re.compile(
    r"(?P<comment><!--.*?-->)"
    r"|(?P<title><title>.*?</title>)"
    r"|(?P<tag><[A-Za-z/!](?:\"[^\"]*\"|'[^']*'|[^>\"'])*>)"
    r"|(?P<jinja>\{%.*?%\}|\{\{.*?\}\}|\{#.*?#\})"
    r"|(?P<entity>&#?\w+;)",
    re.DOTALL,
)
_CLASS: Final = re.compile(r' class="([^"]*)"')
_TABLE_BODY: Final = re.compile("</?tbody>")
_MAIN: Final = re.compile(r"<!doctype", re.IGNORECASE)
_SCREEN: Final = "<!--screen.css-->"


class BadSource(Exception):  # noqa: N818 - becomes a BuildError with the same message
    """A source that an HTML parser can't process."""


def joined_blocks(source: str) -> str:
    """Remove the line break after a line of `{% %}` alone, so that it leaves no empty line."""
    return _BLOCK_LINE.sub(r"\1", source)


def inline(html: str, css: str, screen: str) -> str:
    """`html` with `css` in its elements, and with `screen`, which can't be inlined, at its placeholder.

    What stands before the doctype stays as it is. Class names that `screen` does not mention are dropped.
    """
    start = _MAIN.search(html)
    if start is None:
        raise BadSource("there is no <!doctype html>")
    jinja = _Placeholders()
    inliner = css_inline.CSSInliner(load_remote_stylesheets=False, minify_css=True, extra_css=css)
    page = inliner.inline(jinja.insert(html[start.start() :]))
    # The parser puts these in, also between a loop and its first row; no client needs them.
    page = _TABLE_BODY.sub("", page)
    page = _without_unused_classes(page, screen)
    page = page.replace(_SCREEN, f"<style>\n{screen.strip()}\n</style>")
    return html[: start.start()] + jinja.restore(page).strip() + "\n"


class _Placeholders:
    """Words in place of Jinja tags and entities, which the parser leaves alone."""

    def __init__(self) -> None:
        self._originals: list[str] = []

    def insert(self, html: str) -> str:
        return PIECES.sub(self._piece, html)

    def restore(self, html: str) -> str:
        return _PLACEHOLDER.sub(lambda match: self._originals[int(match[1] or match[2])], html)

    def _piece(self, match: re.Match[str]) -> str:
        piece = match[0]
        if match["comment"]:
            return piece  # the parser leaves its content alone
        if match["tag"]:
            if _JINJA.search(_QUOTED.sub("", piece)):
                raise BadSource(
                    f"Jinja stands between attributes, where only their values may have it: {piece}"
                )
            return self._words(piece)
        if match["title"]:
            return self._words(piece)
        # A statement may stand where text may not, between the rows of a table; and so may a comment.
        return f"<!--{self._word(piece)}-->" if piece.startswith(("{%", "{#")) else self._word(piece)

    def _words(self, piece: str) -> str:
        return _ENTITY.sub(lambda one: self._word(one[0]), _JINJA.sub(lambda one: self._word(one[0]), piece))

    def _word(self, original: str) -> str:
        self._originals.append(original)
        return f"jx{len(self._originals) - 1}x"


def _without_unused_classes(page: str, screen: str) -> str:
    used = set(re.findall(r"\.([A-Za-z][\w-]*)", screen))

    def kept(match: re.Match[str]) -> str:
        names = [name for name in match[1].split() if name in used]
        return f' class="{" ".join(names)}"' if names else ""

    return _CLASS.sub(kept, page)
