"""The house stays a house: imports point down, nothing heavy loads early, files stay short."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Literal, TypeGuard

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "slmkit"

# From the top down: a module may import from its own layer and from those below it.
LAYERS = (
    {"cli", "runner"},
    {"notebook", "claims", "report", "results"},
    {"conversion"},
    {"agent", "specialization", "capability", "economics"},
    {"mini"},
    {"models"},
    {
        "figures", "tracking", "stats", "config", "records", "errors", "files", "downloads", "allocator",
        "provenance",
        "parameters",
        "console",
        "judging",
    },
)  # fmt: skip
LEVEL = {part: level for level, parts in enumerate(LAYERS) for part in parts}
ARGUMENTS = {"capability", "economics", "specialization", "agent", "conversion"}
# The only edges between the folders of the arguments: importing folder to imported module.
BRIDGES = {
    ("agent", "capability.scoring"),
    ("specialization", "capability.scoring"),
    ("conversion", "capability.scoring"),
    ("agent", "economics.cost"),
    ("conversion", "economics.cost"),
    ("conversion", "specialization.finetune"),
    ("conversion", "specialization.gates"),
    ("conversion", "agent.cascade"),
}
HEAVY = {"torch", "transformers", "trl", "wandb", "peft", "accelerate", "datasets"}
SLOW = HEAVY | {
    "pandas",
    "numpy",
    "matplotlib",
    "scipy",
    "sklearn",
    "statsmodels",
    "seaborn",
    "openai",
    "papermill",
}


def module_name(path: Path, package: Path = PACKAGE) -> str:
    """`capability.scoring` for slmkit/capability/scoring.py; an `__init__` has the name of its folder."""
    parts = path.relative_to(package).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_type_checking(node: ast.AST) -> TypeGuard[ast.If]:
    """Whether this is `if TYPE_CHECKING:`, whose body never runs."""
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


Scope = Literal["all", "run", "load"]  # every import; those that ever run; those that run when the module loads


def imports(tree: ast.AST, name: str, is_package: bool, scope: Scope) -> set[str]:
    """Dotted names that a module imports, `from a import b` as `a.b`."""
    found: set[str] = set()
    todo = [tree]
    while todo:
        node = todo.pop()
        if scope == "load" and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if scope != "all" and is_type_checking(node):
            todo += node.orelse
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            here = ["slmkit", *filter(None, name.split("."))]
            base = here[: len(here) - node.level + is_package] if node.level else []
            source = ".".join([*base, *filter(None, [node.module])])
            found |= {f"{source}.{alias.name}" for alias in node.names}
        todo += ast.iter_child_nodes(node)
    return found


def graph(package: Path = PACKAGE, scope: Scope = "all") -> dict[str, set[str]]:
    """Modules of a package by name, each with the modules of the same package that it imports."""
    paths = {module_name(path, package): path for path in sorted(package.rglob("*.py"))}
    edges = {}
    for name, path in paths.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        targets = set()
        for dotted in imports(tree, name, path.name == "__init__.py", scope):
            top, _, inside = dotted.partition(".")
            while inside and inside not in paths:
                inside = inside.rpartition(".")[0]  # a function of a module: the module
            if top == "slmkit" and inside not in ("", name):
                targets.add(inside)
        edges[name] = targets
    return edges


def part(module: str) -> str:
    """The file or folder of slmkit/ that a module belongs to."""
    return module.split(".")[0]


def violations(edges: dict[str, set[str]]) -> list[str]:
    """Every import that points up, or crosses between argument folders without a bridge."""
    wrong = []
    for module, targets in edges.items():
        for target in filter(None, targets if module else ()):
            here, there = part(module), part(target)
            if LEVEL[there] < LEVEL[here]:
                wrong.append(f"{module} imports {target}, which lies above it")
            elif {here, there} <= ARGUMENTS and here != there and (here, target) not in BRIDGES:
                wrong.append(f"{module} imports {target}: no such edge between the arguments")
    return wrong


def write_package(folder: Path, **sources: str) -> Path:
    """A package for the tests below: `capability__scoring="..."` becomes capability/scoring.py."""
    for name, source in sources.items():
        path = folder / (name.replace("__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    return folder


def test_every_part_has_a_layer():
    assert {part(name) for name in graph() if name} <= set(LEVEL)


def test_imports_point_down():
    assert violations(graph()) == []


def test_no_import_cycle():
    try:
        list(TopologicalSorter(graph(scope="run")).static_order())
    except CycleError as error:
        pytest.fail(f"import cycle: {' -> '.join(error.args[1])}")


@pytest.mark.parametrize(
    "sources, complaint",
    [
        ({"models": "from slmkit.capability import scoring", "capability__scoring": ""}, "above"),
        ({"stats": "def f():\n    import slmkit.notebook", "notebook": ""}, "above"),
        ({"agent__loop": "from ..economics import roofline", "economics__roofline": ""}, "no such edge"),
        (
            {"economics__cost": "from slmkit.capability.scoring import Score", "capability__scoring": ""},
            "no such",
        ),
        ({"agent__loop": "from slmkit.economics.cost import usd", "economics__cost": ""}, None),
        ({"capability__evaluate": "from . import scoring", "capability__scoring": ""}, None),
    ],
)
def test_the_rules_bite(tmp_path, sources, complaint):
    found = violations(graph(write_package(tmp_path, **sources)))
    assert (complaint in found[0] and len(found) == 1) if complaint else found == []


def early(package: Path = PACKAGE) -> list[str]:
    """Modules that load something heavy as soon as the command line, a notebook or a package is imported.

    What works on tensors in every function may load torch at its top, as long as whoever needs it loads it late.
    """
    loads_with = graph(package, "load")
    packages = [module_name(path, package) for path in package.rglob("__init__.py")]
    reached, left = set(), [name for name in (*packages, "cli", "notebook", "runner") if name in loads_with]
    while left:
        name = left.pop()
        if name not in reached:
            reached.add(name)
            left += loads_with.get(name, [])
    found = []
    for path in sorted(package.rglob("*.py")):
        name, tree = module_name(path, package), ast.parse(path.read_text(encoding="utf-8"))
        heavy = {d for d in imports(tree, name, False, "load") if d.split(".")[0] in HEAVY}
        if heavy and name in reached:
            found.append(f"{name}: {', '.join(sorted(heavy))}")
    return found


def test_nothing_heavy_is_loaded_before_it_is_needed():
    assert early() == []


@pytest.mark.parametrize(
    "sources, wrong",
    [
        ({"a": "import torch"}, []),
        ({"a": "import torch", "cli": "def f():\n    from slmkit import a"}, []),
        ({"a": "import torch", "cli": "from slmkit import a"}, ["a: torch"]),
        ({"a": "import torch", "b": "from slmkit import a", "cli": "def f():\n    from slmkit import b"}, []),
        ({"a": "import torch", "b": "from slmkit import a", "runner": "from slmkit import b"}, ["a: torch"]),
        ({"a": "class A:\n    import wandb", "notebook": "from slmkit import a"}, ["a: wandb"]),
        ({"a": "if TYPE_CHECKING:\n    import torch", "cli": "from slmkit import a"}, []),
        ({"cli": "import torch"}, ["cli: torch"]),
    ],
)
def test_early_imports_are_found(tmp_path, sources, wrong):
    assert early(write_package(tmp_path, **sources)) == wrong


def cpu_s(*command: str, times: int = 5) -> float:
    """Processor seconds of a command, the best of several: its wall time on an idle machine."""

    def once() -> float:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=ROOT)
        _, status, used = os.wait4(process.pid, 0)
        assert status == 0, command
        return used.ru_utime + used.ru_stime

    return min(once() for _ in range(times))


def test_importing_the_package_is_quick():
    assert cpu_s(sys.executable, "-c", "import slmkit") < 0.3


def test_help_is_quick_and_loads_nothing_slow():
    assert cpu_s(str(Path(sys.executable).with_name("slmkit")), "--help") < 0.6
    probe = "import sys, slmkit.cli; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", probe], check=True, capture_output=True, text=True)
    assert set(done.stdout.split()) & SLOW == set()


def lines() -> dict[str, int]:
    """Lines of each file of the package."""
    return {str(path.relative_to(ROOT)): path.read_text("utf-8").count("\n") for path in PACKAGE.rglob("*.py")}


def test_files_are_short():
    assert {path: n for path, n in lines().items() if n > 250} == {}


def test_no_folder_outgrows_its_argument():
    folders: dict[str, int] = {}
    for path, n in lines().items():
        folders[str(Path(path).parent)] = folders.get(str(Path(path).parent), 0) + n
    assert {folder: n for folder, n in folders.items() if n > 2_700} == {}


def test_no_file_is_a_drawer_for_anything():
    names = {"utils", "util", "helpers", "misc", "common"}
    assert [path for path in PACKAGE.rglob("*") if path.stem in names] == []
