"""A hook of mkdocs: the reference, one page for each package, of what its ``__all__`` names, and
one of the commands, of what they say of themselves.

A public name without a docstring, or a method of one, fails the build.
"""

import ast
import os
from pathlib import Path
from typing import Any, Final

import griffe
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

from rlpyt.cli.main import command_parser

__all__ = ["commands", "on_config", "on_files", "packages", "undocumented"]

ROOT: Final = Path(__file__).resolve().parent.parent
SECTION: Final = "Reference"
COMMAND_PAGE: Final = "reference/commands.md"
COMMANDS: Final = "rlpyt.cli"  # whose reference is --help


def packages(root: Path = ROOT) -> dict[str, list[str]]:
    """The public names of each package that has some, read from the source below ``root``."""
    found = {}
    for path in sorted((root / "rlpyt").rglob("__init__.py")):
        name = ".".join(path.parent.relative_to(root).parts)
        names = exported(path)
        if "." in name and names and not name.startswith(COMMANDS):
            found[name] = names
    return found


def exported(path: Path) -> list[str]:
    """What ``__all__`` lists in the module at ``path``."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return [str(name) for name in ast.literal_eval(node.value)]
    return []


def undocumented(root: Path = ROOT) -> list[str]:
    """Public names, and public methods of classes among them, that say nothing."""
    tree = griffe.load("rlpyt", search_paths=[root], try_relative_path=False, resolve_aliases=True)
    found = []
    for package, names in packages(root).items():
        module: Any = tree[package.removeprefix("rlpyt.")]
        for name in names:
            member = module.members[name]
            target = member.final_target if member.is_alias else member
            if not target.docstring:
                found.append(f"{package}.{name}")
            methods = target.members.items() if target.is_class else ()
            found += [
                f"{package}.{name}.{method}"
                for method, its in methods
                if its.is_function and not method.startswith("_") and not its.docstring
            ]
    return found


def page(package: str) -> str:
    """Where the page of ``package`` is, below docs/."""
    return f"reference/{package.removeprefix('rlpyt.')}.md"


def content(package: str, names: list[str]) -> str:
    """In Markdown: filled in by mkdocstrings."""
    members = "".join(f"\n        - {name}" for name in names)
    return f"# {package}\n\n::: {package}\n    options:\n      members:{members}\n"


def commands() -> str:
    """What ``--help`` says of each command, in Markdown."""
    os.environ["COLUMNS"] = "100"  # argparse asks the terminal
    parts = ["# Commands\n"]
    subparsers = command_parser()._subparsers
    assert subparsers is not None
    (choices,) = (action.choices for action in subparsers._group_actions)
    assert isinstance(choices, dict)
    for name, parser in choices.items():
        parts.append(f"## rlpyt {name}\n\n```text\n{parser.format_help().rstrip()}\n```\n")
    return "\n".join(parts)


def on_config(config: Any) -> Any:
    """Put the pages behind the others."""
    pages = [{"Commands": COMMAND_PAGE}, *({package: page(package)} for package in packages())]
    config.nav = [*config.nav, {SECTION: pages}]
    return config


def on_files(files: Files, config: Any) -> Files:
    """Make the pages.

    Raises:
        PluginError: naming what is public and not documented.
    """
    if silent := undocumented():
        raise PluginError(f"public, and without a docstring: {', '.join(silent)}")
    files.append(File.generated(config, COMMAND_PAGE, content=commands()))
    for package, names in packages().items():
        files.append(File.generated(config, page(package), content=content(package, names)))
    return files
