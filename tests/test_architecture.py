"""The rules of the house, read off the source: layers, cycles, names, documentation, size."""

import ast
import importlib
import io
import re
import shutil
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "rlpyt"

ORDER = (
    "utils",
    "data",
    "distributions",
    "ops",
    "envs",
    "models",
    "augment",
    "replays",
    "rewards",
    "agents",
    "algos",
    "samplers",
    "runners",
    "logging",
    "checkpoint",
    "launch",
    "evaluation",
    "search",
    "convert",
    "deploy",
    "hub",
    "cli",
)
"""A package imports only from those before it, but for the exceptions below."""

LOW_LEVEL = {"logging", "checkpoint"}  # import only these two, and runners may import them
LOW_LEVEL_IMPORTS = {"utils", "data"}
FORBIDDEN = {("samplers", "algos")}  # though the order would allow it

MAX_MODULE_LINES = 300
MAX_FUNCTION_LINES = 60
MAX_FUNCTION_LINES_WITHOUT_DOCSTRING = 40

DEVICE_MODULES = {"rlpyt.utils.device", "rlpyt.utils.device_slots"}
SEED_MODULE = "rlpyt.utils.seed"
# Module: why it may import pickle (it never loads a file with it).
PICKLE_MODULES = {
    "rlpyt.samplers.pool": "knows its error, where a request cannot go to a worker process",
    "rlpyt.samplers.requests": "messages between a run and its own workers, over an inherited pipe",
    "rlpyt.samplers.processes": "knows its error, where settings cannot go to a worker process",
    "rlpyt.envs.check": "sees whether an environment survives the way to a worker process",
}
# Run by its path, as a process that has been shut in: what it imports and calls is its own.
PICKLE_READERS = {"rlpyt.convert.child": "reads what other libraries have saved, for rlpyt convert"}
# Read what this process, or one that it started, has just pickled: no file.
MESSAGE_READERS = {"rlpyt.samplers.requests", "rlpyt.envs.check"}
READS_PICKLE = {"torch.load", "torch.save", "torch.hub.load", "torch.jit.load", "torch.package"}
READS_PICKLE |= {"pickle.load", "pickle.loads", "pickle.Unpickler", "numpy.lib.format.read_array"}
READS_PICKLE |= {"pandas.read_pickle", "ForkingPickler.loads", "shelve.open", "marshal.loads"}
BANNED_CALLS = {"hasattr", "eval", "exec", "locals", "globals", "__import__", "compile"}
BANNED_IMPORTS = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
GLOBAL_RANDOM = {
    "torch.manual_seed",
    "torch.seed",
    "torch.initial_seed",
    "torch.get_rng_state",
    "torch.set_rng_state",
    "torch.default_generator",
    "torch.random.manual_seed",
    "torch.random.fork_rng",
    "numpy.random.seed",
    "numpy.random.get_state",
    "numpy.random.set_state",
    "numpy.random.RandomState",
    "random.seed",
}
SEED_MODULE_MAY = {"torch.get_rng_state", "torch.set_rng_state"}
NUMPY_RANDOM_MAY = {"Generator", "PCG64", "SeedSequence", "default_rng"}
TORCH_DRAWS = {"rand", "randn", "randint", "randperm", "normal", "bernoulli", "multinomial"}


@dataclass(frozen=True)
class Module:
    """A source file of the package, parsed."""

    name: str
    path: Path
    text: str
    tree: ast.Module

    @property
    def is_package(self) -> bool:
        """Whether it is an ``__init__``."""
        return self.path.name == "__init__.py"

    @property
    def layer(self) -> str:
        """The package or module right under rlpyt that it belongs to; "" for rlpyt itself."""
        return self.name.partition(".")[2].partition(".")[0]


@cache
def modules() -> dict[str, Module]:
    """Every module of rlpyt by name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        text = path.read_text(encoding="utf-8")
        found[name] = Module(name, path, text, ast.parse(text))
    return found


def report(found: list[str]) -> None:
    """Fail with one line for each violation."""
    assert not found, "\n" + "\n".join(sorted(found))


def at(module: Module, node: ast.AST) -> str:
    """``path:line`` of ``node``."""
    return f"{module.path.relative_to(ROOT)}:{node.lineno}"


def imports(module: Module) -> Iterator[tuple[ast.stmt, str]]:
    """(statement, dotted name) of everything imported, at any depth; submodules resolved."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node, alias.name
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield node, whole if whole in modules() else str(node.module)


def internal_imports(module: Module) -> Iterator[tuple[ast.stmt, str]]:
    """Those from rlpyt."""
    for node, name in imports(module):
        if name == "rlpyt" or name.startswith("rlpyt."):
            yield node, name


# --- imports -----------------------------------------------------------------------------------


def may_import(layer: str, other: str) -> bool:
    """Whether layer ``layer`` may import layer ``other``."""
    if other == layer:
        return True
    if layer in LOW_LEVEL:
        return other in LOW_LEVEL_IMPORTS
    if other in LOW_LEVEL and layer == "runners":
        return True
    return (layer, other) not in FORBIDDEN and ORDER.index(other) < ORDER.index(layer)


def test_every_package_has_its_place_in_the_order():
    layers = {module.layer for module in modules().values()} - {"", "__main__"}
    assert layers <= set(ORDER)


def test_a_package_imports_only_from_those_before_it():
    report(
        [
            f"{at(module, node)}: {module.name} imports {name}"
            for module in modules().values()
            if module.layer not in ("", "__main__")
            for node, name in internal_imports(module)
            if name != "rlpyt" and not may_import(module.layer, name.split(".")[1])
        ]
    )


def test_the_top_imports_nothing():
    assert list(imports(modules()["rlpyt"])) == []


def test_there_are_no_import_cycles():
    graph = {
        name: sorted({other for _node, other in internal_imports(module)} - {name})
        for name, module in modules().items()
    }
    done: set[str] = set()

    def visit(name: str, path: list[str]) -> None:
        assert name not in path, " -> ".join([*path[path.index(name) :], name])
        if name not in done:
            for other in graph[name]:
                visit(other, [*path, name])
            done.add(name)

    for name in graph:
        visit(name, [])


def test_imports_are_absolute_at_the_top_and_from_the_defining_module():
    found = []
    for module in modules().values():
        top = set(module.tree.body)
        for node, name in internal_imports(module):
            if node not in top:
                found.append(f"{at(module, node)}: {name} is not imported at the top")
            target = modules().get(name)
            if target is None:
                found.append(f"{at(module, node)}: there is no module {name}")
            elif target.is_package and name != "rlpyt" and not module.is_package:
                found.append(f"{at(module, node)}: import from where it is defined, not {name}")
        found += [
            f"{at(module, node)}: relative import"
            for node in ast.walk(module.tree)
            if isinstance(node, ast.ImportFrom) and node.level
        ]
    report(found)


def test_importing_rlpyt_is_light():
    code = "import sys, rlpyt; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); {code}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    loaded = set(done.stdout.split())
    assert "rlpyt" in loaded
    assert loaded <= {*sys.stdlib_module_names, "rlpyt", "__main__"}


# --- what code may not say ---------------------------------------------------------------------


def dotted(node: ast.AST) -> str:
    """``torch.random.manual_seed`` for a chain of names, ``np`` read as ``numpy``; else ""."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return ""
    parts.append({"np": "numpy"}.get(node.id, node.id))
    return ".".join(reversed(parts))


def test_accelerators_are_named_in_the_device_modules_only():
    """In names, and in texts but for documentation."""
    kinds = re.compile(r"(?i)cuda|(?<![a-z])(?:npu|nccl|hccl)(?![a-z])")
    found = []
    for module in modules().values():
        if module.name in DEVICE_MODULES:
            continue
        statements = [node for node in ast.walk(module.tree) if isinstance(node, ast.Expr)]
        documentation = {id(node.value) for node in statements}
        for node in ast.walk(module.tree):
            words = ""
            if isinstance(node, ast.Attribute):
                words = node.attr
            elif isinstance(node, ast.Name):
                words = node.id
            elif isinstance(node, ast.Constant) and id(node) not in documentation:
                words = str(node.value)
            found += [f"{at(module, node)}: {kind}" for kind in kinds.findall(words)]
    report(found)


def test_no_probing_no_evaluation():
    report(
        [
            f"{at(module, node)}: {node.func.id}"
            for module in modules().values()
            for node in ast.walk(module.tree)
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in BANNED_CALLS
        ]
    )


def test_no_pickle_is_loaded():
    found = []
    for module in modules().values():
        for node, name in imports(module):
            is_known = module.name in {**PICKLE_MODULES, **PICKLE_READERS}
            if name.partition(".")[0] in BANNED_IMPORTS and not is_known:
                found.append(f"{at(module, node)}: imports {name}")
        for node in ast.walk(module.tree):
            name = dotted(node) if isinstance(node, ast.Attribute) else ""
            if name in READS_PICKLE and module.name not in {*PICKLE_READERS, *MESSAGE_READERS}:
                found.append(f"{at(module, node)}: {name}")
            if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
                is_false = isinstance(node.value, ast.Constant) and node.value.value is False
                if not is_false:
                    found.append(f"{at(module, node.value)}: allow_pickle")
    report(found)
    known = {*PICKLE_MODULES, *PICKLE_READERS}
    assert known <= set(modules()), "an exception that no module needs any more"


def test_what_reads_pickle_is_imported_for_its_path_alone():
    """Nobody calls its reader in a process that has not been shut in."""
    users = {
        module.name
        for module in modules().values()
        for _node, name in imports(module)
        if name in PICKLE_READERS and module.name != name
    }
    assert users == {"rlpyt.convert.confined"}
    [text] = [modules()[name].text for name in users]
    uses = set(re.findall(r"\bchild\.(\w+)", text))
    assert uses == {"__file__", "REFUSED", "UNCONFINED"}


def test_global_generators_are_neither_seeded_nor_read():
    found = []
    for module in modules().values():
        for node in ast.walk(module.tree):
            name = dotted(node) if isinstance(node, ast.Attribute) else ""
            allowed = SEED_MODULE_MAY if module.name == SEED_MODULE else set()
            if name in GLOBAL_RANDOM - allowed:
                found.append(f"{at(module, node)}: {name}")
            first, _, last = name.rpartition(".")
            if first == "numpy.random" and last not in NUMPY_RANDOM_MAY:
                found.append(f"{at(module, node)}: {name}")
            if isinstance(node, ast.Call):
                found += _global_draw(module, node)
        found += [
            f"{at(module, node)}: imports {name}"
            for node, name in imports(module)
            if name in ("random", "numpy.random")
        ]
    report(found)


def _global_draw(module: Module, node: ast.Call) -> list[str]:
    """``torch.rand(...)`` without ``generator=``, ``np.random.default_rng()`` without a seed."""
    name = dotted(node.func)
    first, _, last = name.rpartition(".")
    keywords = {keyword.arg for keyword in node.keywords}
    if first == "torch" and last in TORCH_DRAWS and "generator" not in keywords:
        return [f"{at(module, node)}: {name} without a generator"]
    if name == "numpy.random.default_rng" and not node.args and "seed" not in keywords:
        return [f"{at(module, node)}: {name} without a seed"]
    return []


def test_nothing_is_caught_bare():
    report(
        [
            f"{at(module, node)}: except without an exception"
            for module in modules().values()
            for node in ast.walk(module.tree)
            if isinstance(node, ast.ExceptHandler) and node.type is None
        ]
    )


def test_every_type_ignore_has_its_code_and_reason():
    found = []
    for module in modules().values():
        for token in tokenize.generate_tokens(io.StringIO(module.text).readline):
            is_ignore = token.type == tokenize.COMMENT and "type: ignore" in token.string
            if is_ignore and not re.match(r"# type: ignore\[[\w, -]+\]  # \w", token.string):
                where = f"{module.path.relative_to(ROOT)}:{token.start[0]}"
                found.append(f"{where}: {token.string}")
    report(found)


# --- classes -----------------------------------------------------------------------------------

PLAIN_BASES = {"ABC", "NamedTuple", "NamedArrayTuple", "IntEnum", "Enum", "Protocol", "TypedDict"}
PLAIN_BASES |= {"nn.Module", "nn.Sequential", "type", "Exception", "RuntimeError", "Generic"}
# Made to be derived from by users, or by one more class: why.
OPEN_CLASSES = {"rlpyt.data.TrajInfo": "users log more by a subclass"}


def test_at_most_one_base_beside_abc():
    found = []
    for module in modules().values():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ClassDef):
                bases = [ast.unparse(base).partition("[")[0] for base in node.bases]
                if len([base for base in bases if base not in ("ABC", "Generic", "Protocol")]) > 1:
                    found.append(f"{at(module, node)}: {node.name}({', '.join(bases)})")
    report(found)


def test_every_class_is_abstract_final_or_a_plain_record():
    found = []
    for module in modules().values():
        for node in ast.walk(module.tree):
            if not isinstance(node, ast.ClassDef):
                continue
            bases = {ast.unparse(base).partition("[")[0] for base in node.bases}
            decorators = {ast.unparse(decorator) for decorator in node.decorator_list}
            is_record = bases & (PLAIN_BASES - {"nn.Module", "nn.Sequential", "Exception"})
            is_open = f"{module.name}.{node.name}" in OPEN_CLASSES
            makes_records = module.name == "rlpyt.utils.collections"
            if not (is_record or is_open or makes_records or "final" in decorators):
                found.append(f"{at(module, node)}: {node.name}")
    report(found)


# --- documentation -----------------------------------------------------------------------------


SPEAK_FOR_THEMSELVES = {
    "__version__",
    "COMMAND",  # a Command carries its own summary, description and examples
}


def exported(module: Module) -> list[str] | None:
    """The names in ``__all__``, or ``None`` where there is none."""
    for node in module.tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return ast.literal_eval(node.value)
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "__all__":
            return ast.literal_eval(node.value)
    return None


def sort_key(name: str) -> tuple[int, str]:
    """CONSTANTS, then Classes, then functions, each by the alphabet."""
    if name.isupper():
        return 0, name
    return (1 if name[0].isupper() else 2), name


def test_every_module_has_a_docstring_and_a_sorted_all():
    found = []
    for module in modules().values():
        where = module.path.relative_to(ROOT)
        if not ast.get_docstring(module.tree):
            found.append(f"{where}: no docstring")
        names = exported(module)
        if names is None and module.name != "rlpyt.__main__":
            found.append(f"{where}: no __all__")
        elif names is not None and names != sorted(set(names), key=sort_key):
            found.append(f"{where}: __all__ is not sorted: {sorted(set(names), key=sort_key)}")
    report(found)


def defined(module: Module) -> dict[str, tuple[ast.stmt, bool]]:
    """Each name made at the top of the module: its statement and whether it is documented."""
    found: dict[str, tuple[ast.stmt, bool]] = {}
    body = module.tree.body
    for node, following in zip(body, [*body[1:], None], strict=True):
        text_follows = isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            found[node.name] = node, bool(ast.get_docstring(node))
        elif isinstance(node, ast.Assign):
            found |= {ast.unparse(target): (node, text_follows) for target in node.targets}
        elif isinstance(node, ast.AnnAssign):
            found[ast.unparse(node.target)] = node, text_follows
        elif isinstance(node, ast.If):  # TYPE_CHECKING: the last definition counts
            for inner in (*node.body, *node.orelse):
                if isinstance(inner, ast.ClassDef | ast.FunctionDef):
                    found[inner.name] = inner, bool(ast.get_docstring(inner))
    return found


def test_every_public_name_is_documented():
    found = []
    for module in modules().values():
        names = defined(module)
        for name in exported(module) or []:
            if name in names and not names[name][1] and name not in SPEAK_FOR_THEMSELVES:
                found.append(f"{at(module, names[name][0])}: {name}")
            node = names.get(name, (None,))[0]
            if isinstance(node, ast.ClassDef):
                found += [
                    f"{at(module, method)}: {name}.{method.name}"
                    for method in node.body
                    if isinstance(method, ast.FunctionDef)
                    and not method.name.startswith("_")
                    and not ast.get_docstring(method)
                ]
    report(found)


def test_what_is_public_is_said_to_be():
    """A class or function without an underscore is in ``__all__``; so is what others import."""
    found = []
    for module in modules().values():
        names = exported(module) or []
        for name, (node, _) in defined(module).items():
            is_code = isinstance(node, ast.ClassDef | ast.FunctionDef)
            if is_code and not name.startswith("_") and name not in names and names:
                found.append(f"{at(module, node)}: {name} is not in __all__")
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ImportFrom) and str(node.module) in modules():
                public = exported(modules()[str(node.module)]) or []
                found += [
                    f"{at(module, node)}: {alias.name} is not public in {node.module}"
                    for alias in node.names
                    if alias.name not in public and f"{node.module}.{alias.name}" not in modules()
                ]
    report(found)


@pytest.mark.parametrize("name", [name for name in modules() if name != "rlpyt.__main__"])
def test_every_exported_name_exists(name):
    module = importlib.import_module(name)
    missing = [each for each in module.__all__ if each not in vars(module)]
    assert not missing


# --- size --------------------------------------------------------------------------------------


def test_modules_are_short():
    report(
        [
            f"{module.path.relative_to(ROOT)}: {n} lines"
            for module in modules().values()
            if (n := len(module.text.splitlines())) > MAX_MODULE_LINES
        ]
    )


def test_functions_are_short():
    found = []
    for module in modules().values():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.FunctionDef):
                n = node.end_lineno - node.lineno + 1
                docstring = node.body[0] if ast.get_docstring(node) else None
                n_doc = docstring.end_lineno - docstring.lineno + 1 if docstring else 0
                too_long = n - n_doc > MAX_FUNCTION_LINES_WITHOUT_DOCSTRING
                if n > MAX_FUNCTION_LINES or too_long:
                    found.append(
                        f"{at(module, node)}: {node.name}: {n} lines, {n_doc} of docstring"
                    )
    report(found)


# --- what does not belong into the repository --------------------------------------------------

PLACES = re.compile(r"(?<![\w./-])/(?:work|root|tmp|home/\w+)(?=/|\b(?![\w-]))")


def tracked() -> list[Path]:
    """What git knows or would take, under these folders; every file where git is not there."""
    folders = ["rlpyt", "docs", "examples", "experiments"]
    git = shutil.which("git")
    if git and (ROOT / ".git").exists():
        command = [git, "ls-files", "-z", "--cached", "--others", "--exclude-standard", *folders]
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    else:
        paths = [path for folder in folders for path in (ROOT / folder).rglob("*")]
    return [path for path in paths if path.is_file() and "__pycache__" not in path.parts]


def test_no_path_of_some_machine_is_written_down():
    found = []
    for path in tracked():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # an image, say
        for number, line in enumerate(text.splitlines(), 1):
            if PLACES.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}")
    report(found)
    assert tracked()
