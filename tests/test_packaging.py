"""The package as it is delivered: manifest, wheel, metadata, floors, import cost, house rules."""

from __future__ import annotations

import ast
import email
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from email.message import Message
from pathlib import Path

import npe2
import pytest
from packaging.requirements import Requirement

CHECKOUT = Path(__file__).resolve().parents[1]
SOURCE = CHECKOUT / "src" / "napari_convnet"
MANIFEST = CHECKOUT / "napari.yaml"
WORKFLOW = CHECKOUT / ".github" / "workflows" / "ci.yml"
IMAGE_SUFFIXES = {".png", ".tif", ".tiff", ".jpg"}

MAX_FILE_LINES = 300
MAX_FUNCTION_LINES = 60  # without its docstring
QT_BINDINGS = {"pyqt5", "pyqt6", "pyside2", "pyside6"}


def run(*command: str | Path, cwd: Path = CHECKOUT, **environment: str) -> str:
    """Run a command to its end, fail with what it wrote, and return what it wrote."""
    finished = _start(*command, cwd=cwd, **environment)
    assert finished.returncode == 0, finished.stdout
    return finished.stdout


def _start(*command: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


# The manifest


def test_manifest_in_the_root_is_valid() -> None:
    manifest = npe2.PluginManifest.from_file(MANIFEST)

    assert manifest.name == "napari-convnet"
    assert manifest.is_visible


def test_installed_manifest_is_the_one_in_the_root() -> None:
    installed = npe2.PluginManifest.from_distribution("napari-convnet")
    in_root = npe2.PluginManifest.from_file(MANIFEST)

    assert installed.contributions == in_root.contributions, (
        "the installation is older than napari.yaml; run scripts/setup.sh"
    )


# The wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel with the project's build backend; return its path."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    """Return the wheel's core metadata."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        return email.message_from_bytes(archive.read(name))


@pytest.fixture(scope="module")
def installed_wheel(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel without its dependencies into an empty folder; return the folder."""
    target = tmp_path_factory.mktemp("installed")
    pip = (sys.executable, "-m", "pip", "--isolated", "--disable-pip-version-check")
    run(*pip, "install", "--quiet", "--no-deps", "--no-index", "--target", target, wheel)
    return target


def test_wheel_holds_package_manifest_and_images_and_no_tests(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = [Path(name) for name in archive.namelist()]
        manifest = archive.read("napari_convnet_data/napari.yaml")

    tops = {name.parts[0] for name in names if not name.parts[0].endswith(".dist-info")}
    assert tops == {"napari_convnet", "napari_convnet_data"}
    assert manifest == MANIFEST.read_bytes()
    images = {name.name for name in names if name.suffix in IMAGE_SUFFIXES}
    in_root = {
        p.name for p in (CHECKOUT / "sample_images").rglob("*") if p.suffix in IMAGE_SUFFIXES
    }
    assert images == in_root != set()


def test_installed_wheel_offers_command_and_manifest(installed_wheel: Path) -> None:
    program = """
import importlib.metadata, json, npe2
distribution = importlib.metadata.distribution("napari-convnet")
entries = {entry.group: entry for entry in distribution.entry_points}
print(json.dumps({
    "place": str(distribution.locate_file("")),
    "entries": {group: [entry.name, entry.value] for group, entry in entries.items()},
    "command_can_start": callable(entries["console_scripts"].load()),
    "manifest": npe2.PluginManifest.from_distribution("napari-convnet").contributions.json(),
}))
"""
    output = run(sys.executable, "-c", program, PYTHONPATH=str(installed_wheel))
    found = json.loads(output.splitlines()[-1])

    assert Path(found["place"]).samefile(installed_wheel)
    assert found["entries"]["napari.manifest"] == [
        "napari-convnet",
        "napari_convnet_data:napari.yaml",
    ]
    assert found["entries"]["console_scripts"][0] == "napari-convnet"
    assert found["command_can_start"]
    assert found["manifest"] == npe2.PluginManifest.from_file(MANIFEST).contributions.json()


def test_installed_wheel_offers_a_sample_image(installed_wheel: Path) -> None:
    # -S leaves out site-packages, and with it the editable installation's copy.
    program = """
import importlib.resources
images = importlib.resources.files("napari_convnet_data") / "sample_images"
print(*(path for path in images.iterdir()), sep="\\n")
"""
    output = run(sys.executable, "-S", "-c", program, PYTHONPATH=str(installed_wheel))
    images = [Path(line) for line in output.splitlines()]

    assert all(path.is_relative_to(installed_wheel) for path in images)
    assert any(path.suffix in IMAGE_SUFFIXES for path in images), output


# The metadata that the napari hub and the plugin manager read


def test_hub_finds_classifier_licence_and_links(metadata: Message) -> None:
    assert "Framework :: napari" in metadata.get_all("Classifier", [])
    assert metadata["License-Expression"] == "BSD-3-Clause"
    assert metadata["License-File"] == "LICENSE"
    links = dict(link.split(", ", 1) for link in metadata.get_all("Project-URL", []))
    assert {"Homepage", "Source Code", "Bug Tracker", "Documentation", "Changelog"} <= set(links)
    assert links["Source Code"].startswith("https://github.com/")


def test_base_dependencies_bring_neither_qt_binding_nor_upper_bounds(metadata: Message) -> None:
    requirements = [Requirement(text) for text in metadata.get_all("Requires-Dist", [])]
    base = [r for r in requirements if r.marker is None or "extra" not in str(r.marker)]

    assert {r.name.lower() for r in base}.isdisjoint(QT_BINDINGS | {"napari"})
    assert all(r.marker is None and not r.extras for r in base)
    capped = [str(r) for r in base if {s.operator for s in r.specifier} - {">="}]
    assert capped == []
    extras = {str(r.marker): r.name for r in requirements if r not in base}
    assert extras == {
        'extra == "all"': "napari", 'extra == "encoders"': "segmentation-models-pytorch",
    }  # fmt: skip


# The floors


def _check_imports(tree: Path) -> subprocess.CompletedProcess[str]:
    command = Path(sys.executable).with_name("lint-imports")
    return _start(command, "--no-cache", cwd=tree, PYTHONPATH=str(tree / "src"), COLUMNS="200")


@pytest.fixture
def copied_tree(tmp_path: Path) -> Path:
    """Return a copy of the sources and the contracts, to plant mistakes in."""
    shutil.copytree(SOURCE, tmp_path / "src" / "napari_convnet")
    shutil.copy(CHECKOUT / "pyproject.toml", tmp_path)
    return tmp_path


def test_imports_keep_to_the_floors() -> None:
    finished = _check_imports(CHECKOUT)

    assert finished.returncode == 0, finished.stdout


@pytest.mark.parametrize(
    ("module", "planted", "broken"),
    [
        ("scores", "import napari", "The core knows neither napari nor Qt"),
        ("devices", "from qtpy import QtCore", "The core knows neither napari nor Qt"),
        ("images", "import napari_convnet.scores", "Floors: imports go down only"),
        ("errors", "from napari_convnet import widgets", "Floors: imports go down only"),
        ("widgets/train_dock", "from . import predict_dock", "Docks never import each other"),
        ("unheard_of", "", "Floors: imports go down only"),
    ],
)
def test_planted_import_breaks_the_contract(
    copied_tree: Path, module: str, planted: str, broken: str
) -> None:
    path = copied_tree / "src" / "napari_convnet" / f"{module}.py"
    with path.open("a") as file:
        file.write(f"\n{planted}\n")

    finished = _check_imports(copied_tree)

    assert finished.returncode == 1, finished.stdout
    assert f"{broken} BROKEN" in finished.stdout


# The cost of an import; benchmarks/import_time.py gives it in milliseconds


def test_importing_the_package_imports_nothing_but_the_standard_library() -> None:
    program = """
import sys
before = set(sys.modules)
import napari_convnet
dir(napari_convnet)
print(*sorted({name.partition(".")[0] for name in set(sys.modules) - before}))
"""
    imported = set(run(sys.executable, "-c", program).split())

    assert imported - sys.stdlib_module_names == {"napari_convnet"}


# The rules of the house


def _modules() -> list[tuple[str, str]]:
    return [(str(p.relative_to(SOURCE)), p.read_text("utf-8")) for p in SOURCE.rglob("*.py")]


def test_every_module_has_a_docstring() -> None:
    assert [name for name, text in _modules() if not ast.get_docstring(ast.parse(text))] == []


def test_no_file_is_too_long() -> None:
    lengths = {name: len(text.splitlines()) for name, text in _modules()}

    assert {name: n for name, n in lengths.items() if n > MAX_FILE_LINES} == {}


def _code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    docstring = function.body[0] if ast.get_docstring(function) else None
    documented = docstring.end_lineno - docstring.lineno + 1 if docstring else 0
    return function.end_lineno - function.lineno + 1 - documented


def test_no_function_is_too_long() -> None:
    lengths = {
        f"{name}:{node.name}": _code_lines(node)
        for name, text in _modules()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }

    assert {name: n for name, n in lengths.items() if n > MAX_FUNCTION_LINES} == {}


# Continuous integration


def test_workflow_has_the_form_that_github_accepts() -> None:
    command = Path(sys.executable).with_name("check-jsonschema")
    for schema in ("vendor.github-workflows", "custom.github-workflows-require-timeout"):
        run(command, "--builtin-schema", schema, WORKFLOW)


def test_workflow_pins_every_action_by_commit() -> None:
    actions = re.findall(r"uses: *(.+)", WORKFLOW.read_text())

    assert actions
    assert [a for a in actions if not re.fullmatch(r"\S+@[0-9a-f]{40} # v[0-9.]+", a)] == []
