"""Files made from the Jinja templates of a package."""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape


def render(package: str, template: str, **values: Any) -> str:
    """The template ``templates/<template>.jinja`` of ``package``, filled in; values are escaped in
    HTML.
    """
    return _environment(package).get_template(f"{template}.jinja").render(**values)


@cache
def _environment(package: str) -> Environment:
    return Environment(
        loader=PackageLoader(package),
        autoescape=select_autoescape(enabled_extensions=["html.jinja"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
