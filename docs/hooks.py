"""Makes the studies and the papers of the repository's root pages of the site, where links to them lead."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
BESIDE = (
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "experiments/*/README.md",
    "experiments/*/*.png",
    "benchmarks/results/*.md",
    "benchmarks/results/*.png",
)
LINK = re.compile(r"\]\((?!\w+:|#)([^)#\s]+)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what lies beside ``docs``, under the path that it has in the repository."""
    for file in sorted(file for pattern in BESIDE for file in ROOT.glob(pattern)):
        files.append(
            File.generated(config, file.relative_to(ROOT).as_posix(), abs_src_path=str(file))
        )
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links say where a page is on the site; in the file they say where it is in the repository."""
    source = page.file.src_uri
    here = source if page.file.generated_by else f"docs/{source}"

    def moved(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(here), match[1])).removeprefix(
            "docs/"
        )
        return f"]({posixpath.relpath(target, posixpath.dirname(source) or '.')}"

    return LINK.sub(moved, markdown)
