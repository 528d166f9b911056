"""Benchmarks and studies, which no other test runs, import names that exist."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = sorted([*(ROOT / "benchmarks").glob("*.py"), *(ROOT / "experiments").rglob("*.py")])


def names_of(module: str, folder: Path) -> set[str] | None:
    """What a module beside a script, or of gan_zoo, has; None for any other."""
    beside = folder / f"{module}.py"
    if beside.is_file():
        tree = ast.parse(beside.read_text(encoding="utf-8"))
        defined = {n.name for n in tree.body if isinstance(n, ast.ClassDef | ast.FunctionDef)}
        assigned = {
            name.id
            for node in tree.body
            if isinstance(node, ast.Assign | ast.AnnAssign)
            for name in ast.walk(node)
            if isinstance(name, ast.Name)
        }
        imported = {
            alias.asname or alias.name
            for node in tree.body
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        }
        return defined | assigned | imported
    if module.partition(".")[0] == "gan_zoo":
        found = importlib.import_module(module)
        inside = pkgutil.iter_modules(getattr(found, "__path__", ()))
        return {*dir(found), *(part.name for part in inside)}
    return None


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_imported_names_exist(script: Path) -> None:
    tree = ast.parse(script.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom) or node.level or node.module is None:
            continue
        known = names_of(node.module, script.parent)
        missing = {alias.name for alias in node.names} - (known or set())
        assert known is None or not missing, f"{node.module} has no {missing}"
