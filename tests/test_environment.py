"""One list of dependencies, and everything that delegates to it: none may drift from the others."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PYTHONS = ("3.11", "3.13")
TARGETS = {"help", "env", "notebooks", "test", "check", "lab", "data", "lint", "lock", "clean"}


def wanted(*extras: str) -> dict[str, Requirement]:
    """Requirements of the project by canonical name: the core ones, and those of the extras named."""
    texts = [
        *PROJECT["dependencies"],
        *(t for extra in extras for t in PROJECT["optional-dependencies"][extra]),
    ]
    return {canonicalize_name(r.name): r for r in map(Requirement, texts)}


def everything() -> dict[str, Requirement]:
    """The core requirements and those of every extra."""
    return wanted(*PROJECT["optional-dependencies"])


def lines(path: str) -> list[str]:
    """Lines of a file of the repository without comments and blanks."""
    text = (ROOT / path).read_text(encoding="utf-8")
    return [line for line in (raw.split(" #")[0].strip() for raw in text.splitlines()) if line and line[0] != "#"]


def lock(python: str) -> dict[str, Version]:
    """Pins of the lock that apply to Linux with a version of Python, by canonical name."""
    where = {"python_version": python, "python_full_version": f"{python}.9", "sys_platform": "linux"}
    pins = {}
    for pin in map(Requirement, lines("binder/constraints.txt")):
        if pin.marker is None or pin.marker.evaluate(where | {"platform_system": "Linux", "os_name": "posix"}):
            (equals,) = pin.specifier
            assert equals.operator == "==" and not pin.extras, pin
            assert canonicalize_name(pin.name) not in pins, f"{pin.name} is pinned twice for Python {python}"
            pins[canonicalize_name(pin.name)] = Version(equals.version)
    return pins


def imported(folder: str) -> set[str]:
    """Top-level names that the Python files of a folder import from elsewhere."""
    found: set[str] = set()
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                found.add(node.module.split(".")[0])
    own = {"slmkit", *(path.stem for path in (ROOT / folder).glob("*.py"))}
    return found - own - set(sys.stdlib_module_names)


def undeclared(modules: set[str], requirements: dict[str, Requirement]) -> set[str]:
    """Modules that no requirement provides; one that is not installed must bear the name of its package."""
    providers = metadata.packages_distributions()
    return {
        module
        for module in modules
        if not {canonicalize_name(name) for name in providers.get(module, [module])} & set(requirements)
    }


def test_every_dependency_says_what_needs_it():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    block = text[text.index("dependencies = [") : text.index("[project.optional-dependencies]")]
    entries = [line for line in block.splitlines() if line.strip().startswith('"')]
    assert len(entries) == len(PROJECT["dependencies"])
    assert [line for line in entries if "  # " not in line] == []


def test_package_and_tests_import_only_what_is_declared():
    assert undeclared(imported("slmkit"), everything()) == set()
    assert undeclared(imported("tests"), wanted("dev", "lab", "serve")) == set()


def test_an_import_that_nobody_declares_is_found():
    assert undeclared({"yaml", "sklearn", "urllib3", "nosuch"}, wanted()) == {"urllib3", "nosuch"}


def test_extras_are_those_promised():
    promised = {"pii", "serve", "embed", "eval", "site", "dev", "lab", "mcp", "cluster"}
    assert set(PROJECT["optional-dependencies"]) == promised


@pytest.mark.parametrize("python", PYTHONS)
def test_lock_pins_every_dependency_at_a_version_it_allows(python):
    pins = lock(python)
    assert python in SpecifierSet(PROJECT["requires-python"])
    for name, requirement in everything().items():
        assert name in pins, f"{name} is not in the lock: make lock"
        assert pins[name] in requirement.specifier, f"{name} {pins[name]}: pyproject wants {requirement}"


def test_lock_pins_one_torch_and_leaves_its_build_open():
    pins = lock("3.11")
    assert pins["torch"] == Version("2.13.0")
    assert [f"{name} {version}" for name, version in pins.items() if version.local] == []


def test_lock_names_the_command_of_make_lock():
    head = (ROOT / "binder/constraints.txt").read_text(encoding="utf-8").splitlines()[:2]
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n\t\t", "")
    options = re.search(r"uv (pip compile .*?) --quiet", recipe)
    assert options and options[1] in head[1]


def test_tests_run_on_the_locked_versions():
    pins, environment = lock(f"{sys.version_info.major}.{sys.version_info.minor}"), {}
    for name, requirement in wanted("dev", "lab").items():
        version = Version(metadata.version(requirement.name))
        if version.public != str(pins[name]):
            environment[name] = f"{version} installed, {pins[name]} locked"
    assert environment == {}, "make env"


def test_conda_environment_delegates():
    given = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    assert given["channels"] == ["conda-forge", "nodefaults"]
    *conda, pip = given["dependencies"]
    assert [entry.partition("=")[0] for entry in conda] == ["python", "pip"]
    assert conda[0].partition("=")[2] in SpecifierSet(PROJECT["requires-python"])
    assert pip == {"pip": ["-c binder/constraints.txt", "-e .[dev,lab,serve,mcp]"]}


def test_binder_delegates():
    assert lines("binder/requirements.txt") == [
        "--extra-index-url https://download.pytorch.org/whl/cpu",
        "-c constraints.txt",
        "-e .[lab]",
    ]
    (runtime,) = lines("binder/runtime.txt")
    assert runtime.removeprefix("python-") in SpecifierSet(PROJECT["requires-python"])
    assert {path.name for path in (ROOT / "binder").iterdir()} == {
        "requirements.txt", "constraints.txt", "runtime.txt", "postBuild",
    }  # fmt: skip


def test_binder_starts_notebooks_from_recorded_results(tmp_path):
    (tmp_path / "notebooks").mkdir()
    copies = [Path(shutil.copy(path, tmp_path / "notebooks")) for path in (ROOT / "notebooks").glob("*.ipynb")]
    (sed,) = [line for line in lines("binder/postBuild") if line.startswith("sed ")]
    subprocess.run(["bash", "-c", sed], cwd=tmp_path, check=True)
    for path in copies:
        assert 'source: str = \\"recorded\\"' in path.read_text(encoding="utf-8"), path.name


@pytest.mark.parametrize("script", [".ci/run", "binder/postBuild"])
def test_scripts_are_executable_and_parse(script):
    assert os.access(ROOT / script, os.X_OK)
    assert (ROOT / script).read_text(encoding="utf-8").startswith("#!/usr/bin/env bash\n")
    subprocess.run(["bash", "-n", ROOT / script], check=True)


def test_ci_script_refuses_a_missing_data_folder(tmp_path):
    where = os.environ | {"SLMKIT_DATA": str(tmp_path / "nowhere")}
    done = subprocess.run([ROOT / ".ci/run"], env=where, capture_output=True, text=True)
    assert done.returncode == 2
    assert str(tmp_path / "nowhere") in done.stderr and done.stderr.count("\n") == 1


def make(*words: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run make as a person does, also when make runs these tests."""
    outer = {"MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES"}
    where = {name: value for name, value in os.environ.items() if name not in outer}
    return subprocess.run(["make", *words], cwd=cwd, env=where, capture_output=True, text=True)


def dry_run(target: str, *variables: str, cwd: Path = ROOT) -> str:
    """The commands that `make TARGET` would run."""
    done = make("-n", target, *variables, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def clone(tmp_path) -> Path:
    """A folder with what the environment is made from, and no environment."""
    for name in ("Makefile", "pyproject.toml", "binder/constraints.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def test_make_has_its_targets_and_explains_them():
    assert {line.split()[0] for line in make("help").stdout.splitlines()} == TARGETS
    command = dry_run("notebooks").splitlines()[-1]
    assert " ".join(command.split()) == ".venv/bin/slmkit run --scale laptop --jobs 2"


def test_make_takes_the_torch_build_that_fits(clone):
    assert "--extra-index-url https://download.pytorch.org/whl/cpu" in dry_run("env", "TORCH=cpu", cwd=clone)
    assert "'torch===2.13.0'" in dry_run("env", "TORCH=cuda", cwd=clone)
    done = make("-n", "env", "TORCH=tpu")
    assert done.returncode == 2 and "TORCH is cpu or cuda, not 'tpu'" in done.stderr


def test_make_installs_again_only_when_the_inputs_changed(clone):
    (clone / ".venv/bin").mkdir(parents=True)
    (clone / ".venv/bin/python").symlink_to(sys.executable)
    (stamp,) = re.findall(r"touch (\.venv/\S+)", dry_run("env", "TORCH=cpu", cwd=clone))
    (clone / stamp).touch()
    assert "pip" not in dry_run("env", "TORCH=cpu", cwd=clone)
    os.utime(clone / "pyproject.toml")  # a new time is no change
    assert "pip" not in dry_run("env", "TORCH=cpu", cwd=clone)
    assert "pip" in dry_run("env", "TORCH=cuda", cwd=clone)
    with open(clone / "binder/constraints.txt", "a", encoding="utf-8") as file:
        file.write("# changed\n")
    assert "pip" in dry_run("env", "TORCH=cpu", cwd=clone)


def test_make_refuses_an_old_python_in_one_line(clone):
    old = clone / "python3.10"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    done = make("env", f"PYTHON={old}", cwd=clone)
    assert done.returncode == 2
    assert "slmkit needs Python 3.11 or newer" in done.stderr and not (clone / ".venv").exists()


def test_public_ci_runs_the_same_command_on_both_pythons():
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
    triggers = workflow[True]  # YAML 1.1 reads the key `on` as a truth value
    assert {"push", "pull_request", "schedule"} <= set(triggers)
    minute, hour, day, month, weekday = triggers["schedule"][0]["cron"].split()
    assert minute.isdigit() and hour.isdigit() and day.isdigit() and (month, weekday) == ("*", "*")
    jobs = workflow["jobs"]
    assert jobs["test"]["strategy"]["matrix"]["python"] == list(PYTHONS)
    commands = {name: [step.get("run", "") for step in job["steps"]] for name, job in jobs.items()}
    assert any(command.startswith("make test") for command in commands["test"])
    assert any(command.startswith("make notebooks") for command in commands["notebooks"])
    assert any("repo2docker --no-run" in command for command in commands["binder"])
    actions = [step["uses"] for job in jobs.values() for step in job["steps"] if "uses" in step]
    assert [action for action in actions if not re.fullmatch(r"[\w-]+/[\w-]+@v\d+", action)] == []
    assert any(action.startswith("actions/upload-artifact@") for action in actions)


def test_pre_commit_uses_the_locked_tools():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    revisions = {repo["repo"].rsplit("/", 1)[1]: repo["rev"].removeprefix("v") for repo in hooks}
    pins = lock("3.11")
    assert revisions == {"ruff-pre-commit": str(pins["ruff"]), "nbstripout": str(pins["nbstripout"])}


def test_citation_and_package_agree():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    text = (ROOT / "slmkit/__init__.py").read_text(encoding="utf-8")
    assert f'__version__ = "{citation["version"]}"' in text
    assert citation["license"] == PROJECT["license"] == "Apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")
