"""The texts of the kit: templates under kit/, each filled in with the facts of the file.

kit/ has a folder for each thing that a task learns of a picture (label, boxes, mask), one of pages that all of them
have, and one of parts that several pages are made of.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

KIT = Path(__file__).parent / "kit"
SUFFIX = ".jinja"
COMMON, SHARED = "common", "shared"


def write(kit: Path, told: Mapping[str, Any]) -> None:
    """Write every page that fits the file.

    Args:
        kit: the kit's folder.
        told: what `facts.of` gave.
    """
    own = KIT / told["target"]
    templates = _environment(own)
    for name in [*_names(KIT / COMMON), *_names(own)]:
        if _fits(name, told):
            place = kit / name.removesuffix(SUFFIX)
            place.parent.mkdir(exist_ok=True)
            place.write_text(templates.get_template(name).render(**told), encoding="utf-8")


def _names(folder: Path) -> list[str]:
    """The templates in a folder, from there."""
    return [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()]


def _fits(name: str, told: Mapping[str, Any]) -> bool:
    if name.startswith("web/"):
        return told["web"]
    # Of boxes and masks Swift, too, is for MediaPipe Tasks.
    needs = "Tasks" in name or (name.startswith("ios/") and told["target"] != "label")
    return told["tasks"] if needs else True


def _environment(folder: Path) -> Environment:
    # Texts of several languages: each template writes names through the filter of its own.
    templates = Environment(
        loader=FileSystemLoader([folder, KIT / COMMON, KIT / SHARED]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    templates.filters |= {"kotlin": kotlin, "swift": swift, "javascript": javascript, "python": repr, "cell": cell}
    return templates


def kotlin(value: str | float) -> str:
    """A literal of Kotlin; a dollar would start a template."""
    return _quoted(value, {"$": "\\$"}, "\\u{:04x}") if isinstance(value, str) else f"{value!r}f"


def swift(value: str | float) -> str:
    """A literal of Swift."""
    return _quoted(value, {}, "\\u{{{:x}}}") if isinstance(value, str) else repr(value)


def javascript(value: Any) -> str:
    """A literal of JavaScript, safe inside a page."""
    return json.dumps(value, ensure_ascii=False).replace("</", "<\\/")


def cell(value: str) -> str:
    """A text as a cell of a Markdown table."""
    return " ".join(str(value).split()).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")


def _quoted(text: str, special: Mapping[str, str], form: str) -> str:
    escapes = {"\\": "\\\\", '"': '\\"', **special}
    return '"' + "".join(escapes.get(sign) or _sign(sign, form) for sign in text) + '"'


def _sign(sign: str, form: str) -> str:
    return sign if sign.isprintable() or ord(sign) > 0xFFFF else form.format(ord(sign))
