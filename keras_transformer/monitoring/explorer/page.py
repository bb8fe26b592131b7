"""The page: its program, styles, words and data in one file that asks for nothing."""

import base64
import hashlib
import json
from importlib import resources
from typing import Any

SCRIPTS = (
    "base.js",
    "numbers.js",
    "pictures.js",
    "overview.js",
    "attention.js",
    "block.js",
    "walk.js",
    "steps.js",
    "generation.js",
    "heads.js",
    "neurons.js",
    "training.js",
    "positions.js",
    "main.js",
)


def page(data: dict[str, Any]) -> str:
    """The HTML of a page that shows `data`.

    The browser is told to run this program and no other, and to fetch nothing: a token such as
    `<script>` is text, in the data as on the page.
    """
    words = json.loads(_asset("words.json"))
    program = "\n".join(
        ['"use strict";', f"const WORDS = {json.dumps(words)};", *map(_asset, SCRIPTS)]
    )
    style = _asset("page.css")
    rules = {"default-src": "'none'", "script-src": _hash(program), "style-src": _hash(style)}
    rules["img-src"] = "data: blob:"
    parts = {
        "policy": "; ".join(f"{name} {sources}" for name, sources in rules.items()),
        "style": style,
        "program": program,
        "data": _json(data),  # the last: what a text says of the others stays as it is
    }
    html = _asset("page.html")
    for name, part in parts.items():
        html = html.replace("{{" + name + "}}", part)
    return html


def _asset(name):
    return resources.files(__package__).joinpath("page", name).read_text(encoding="utf-8")


def _json(data):
    """JSON in which nothing looks like markup."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _hash(text):
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
