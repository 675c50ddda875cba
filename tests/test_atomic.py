"""Whatever hits a save, the old file or the new one is there, and the person is told."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from napari_convnet.atomic import this_computer, write_atomically
from napari_convnet.errors import UserError

OLD, NEW = b"old" * 10_000, b"new" * 100_000


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "table.csv"
    path.write_bytes(OLD)
    return path


def test_a_file_is_written_and_replaced(tmp_path: Path) -> None:
    write_atomically(tmp_path / "table.csv", OLD)
    write_atomically(str(tmp_path / "table.csv"), NEW)
    assert (tmp_path / "table.csv").read_bytes() == NEW
    assert os.listdir(tmp_path) == ["table.csv"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_permissions_are_those_of_any_new_file_or_of_the_replaced_one(tmp_path: Path) -> None:
    plain, ours = tmp_path / "plain", tmp_path / "ours"
    plain.touch()
    write_atomically(ours, NEW)
    assert ours.stat().st_mode == plain.stat().st_mode
    ours.chmod(0o640)
    write_atomically(ours, OLD)
    assert ours.stat().st_mode & 0o777 == 0o640


def test_links_are_refused_and_what_they_point_to_is_untouched(
    target: Path, tmp_path: Path
) -> None:
    link, dangling = tmp_path / "link", tmp_path / "dangling"
    link.symlink_to(target)
    dangling.symlink_to(tmp_path / "nothing")
    for path in (link, dangling):
        with pytest.raises(UserError, match="is a link") as caught:
            write_atomically(path, NEW)
        assert caught.value.code == "CN-312"
    assert target.read_bytes() == OLD
    assert not (tmp_path / "nothing").exists()


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is a folder") as caught:
        write_atomically(tmp_path, NEW)
    assert caught.value.code == "CN-312"
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["missing/table.csv", "with\0nul", "x" * 300])
def test_impossible_places_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        write_atomically(tmp_path / name, NEW)
    assert caught.value.code == "CN-301"
    assert len(caught.value.message) <= 300
    assert os.listdir(tmp_path) == []


def test_a_disk_with_too_little_room_is_told_with_both_numbers(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(target)._replace(free=len(NEW))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(UserError, match=r"needs 0\.6 MB, 0\.3 MB free") as caught:
        write_atomically(target, NEW)
    assert caught.value.code == "CN-301"
    assert target.read_bytes() == OLD


def test_a_file_that_somebody_else_made_is_never_removed(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("secrets.token_hex", lambda _: "token")
    theirs = target.parent / f".napari-convnet-{this_computer()}-{os.getpid()}-token.tmp"
    theirs.write_bytes(b"theirs")
    with pytest.raises(UserError):
        write_atomically(target, NEW)
    assert theirs.read_bytes() == b"theirs"
    assert target.read_bytes() == OLD


def test_what_killed_programs_left_is_removed_and_what_others_may_need_stays(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 74: twenty crashes, each of its own process, and files that are not ours to remove."""
    code = "import os, sys; open(sys.argv[1] % os.getpid(), 'x').write('half'); os._exit(9)"
    folder, here = target.parent, this_computer()
    for token in range(20):
        name = str(folder / f".napari-convnet-{here}-%d-{token}.tmp")
        subprocess.run([sys.executable, "-c", code, name], check=False)
    reused = folder / f".napari-convnet-{here}-{os.getpid()}-aa.tmp"
    reused.write_bytes(b"of an earlier process with our id")
    os.utime(reused, (1e9, 1e9))
    assert len(os.listdir(folder)) == 22
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as running:
        stay = {
            f".napari-convnet-{here}-{running.pid}-bb.tmp",
            f".napari-convnet-{here}-{os.getpid()}-cc.tmp",
            f".napari-convnet-00000000-{2**22 + 1}-dd.tmp",  # another computer's
            f".napari-convnet-{2**22 + 1}-ee.tmp",
            f"napari-convnet-{here}-{2**22 + 1}-ff.tmp",
            "theirs.tmp",
        }
        for name in stay:
            (folder / name).write_bytes(b"theirs")
        monkeypatch.setattr("napari_convnet.atomic._searched", set())
        write_atomically(target, NEW)
        assert set(os.listdir(folder)) == {target.name, *stay}
        running.stdin.close()  # type: ignore[union-attr]
    assert target.read_bytes() == NEW


def test_a_folder_is_searched_for_leftovers_once(target: Path) -> None:
    write_atomically(target, NEW)
    late = target.parent / f".napari-convnet-{this_computer()}-{2**22 + 1}-aa.tmp"
    late.write_bytes(b"half")
    write_atomically(target, NEW)
    assert late.exists()


@pytest.mark.skipif(not shutil.which("strace"), reason="kills at a system call")
@pytest.mark.usefixtures("strace_works")
def test_what_a_real_kill_left_goes_with_the_next_save(target: Path) -> None:
    inject = ("strace", "-f", "-qq", "-o", "/dev/null", "-e", "inject=rename:signal=KILL")
    save = (
        "import sys; from napari_convnet.atomic import write_atomically as w; w(sys.argv[1], b'x')"
    )
    program = [sys.executable, "-Bc", save, str(target)]
    subprocess.run([*inject, *program], check=False)
    assert len(os.listdir(target.parent)) == 2
    subprocess.run(program, check=True)
    assert os.listdir(target.parent) == [target.name]


def test_windows_waits_for_whoever_looks_at_the_file(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename, refusals = os.replace, [5, 32, 33]

    def busy_rename(source: Path, destination: Path) -> None:
        if refusals:
            error = PermissionError("in use")
            error.winerror = refusals.pop()  # type: ignore[attr-defined]
            raise error
        rename(source, destination)

    monkeypatch.setattr(os, "replace", busy_rename)
    write_atomically(target, NEW)
    assert target.read_bytes() == NEW
    assert not refusals


# Faults in a child process, whose temporary file has a name that is known beforehand

CHILD = """
import os, sys
from napari_convnet import atomic
from napari_convnet.errors import UserError
atomic.secrets.token_hex = lambda n: "token"
os.getpid = lambda: 0
atomic._searched.add(atomic.Path(sys.argv[1]).parent)  # only the save itself is to be disturbed
{before}
try:
    atomic.write_atomically(sys.argv[1], b"new" * 100_000)
except UserError as error:
    print(error.code)
    sys.exit(3)
"""

FILE_LIMIT = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
"""


def run_child(target: Path, *wrapper: str, before: str = "") -> subprocess.CompletedProcess[str]:
    code = CHILD.format(before=before)
    command = [*wrapper, sys.executable, "-c", code, str(target)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit on a file's size")
def test_a_disk_that_fills_up_while_writing_leaves_the_old_file_and_nothing_else(
    target: Path,
) -> None:
    child = run_child(target, before=FILE_LIMIT)
    assert (child.returncode, child.stdout) == (3, "CN-301\n")
    assert target.read_bytes() == OLD
    assert os.listdir(target.parent) == ["table.csv"]


def strace(target: Path, *options: str) -> tuple[str, ...]:
    temporary = target.parent / f".napari-convnet-{this_computer()}-0-token.tmp"
    paths = [f"-P{path}" for path in (target, temporary, target.parent)]
    return ("strace", "-f", "-qq", "-o", str(target.parent.parent / "trace"), *paths, *options)


@pytest.fixture(scope="module")
def strace_works() -> None:
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    if subprocess.run(["strace", "-qq", "true"], capture_output=True, check=False).returncode:
        pytest.skip("strace is not allowed here")


CALLS = ("openat", "write", "fsync", "close", "rename", "chmod")
FAULTS = ("signal=KILL", "error=ENOSPC", "error=EIO", "error=EDQUOT")
SOME = [
    ("write", 1, "signal=KILL"),
    ("write", 1, "error=ENOSPC"),
    ("fsync", 1, "error=EIO"),
    ("rename", 1, "signal=KILL"),
    ("close", 1, "error=EIO"),
    ("fsync", 2, "error=EIO"),
]


def check_fault(target: Path, call: str, k: int, fault: str) -> bool:
    """Inject a fault into the k-th call; return whether it was reached."""
    child = run_child(target, *strace(target, "-e", f"inject={call}:{fault}:when={k}"))
    left = set(os.listdir(target.parent)) - {target.name}
    content = target.read_bytes()
    assert content in (OLD, NEW), f"{call} {k} {fault}: {len(content)} bytes"
    trace = (target.parent.parent / "trace").read_text()
    reached = "INJECTED" in trace or "killed by SIGKILL" in trace
    if child.returncode == 3:
        assert child.stdout == "CN-301\n"
        assert not left
    elif fault.startswith("error"):
        assert child.returncode == 0, child.stderr
        assert content == NEW
        assert not reached, "an error was not told"
    return reached


@pytest.mark.usefixtures("strace_works")
@pytest.mark.parametrize(("call", "k", "fault"), SOME)
def test_a_fault_in_a_system_call_leaves_the_old_or_the_new_file(
    target: Path, call: str, k: int, fault: str
) -> None:
    assert check_fault(target, call, k, fault)


@pytest.mark.long
@pytest.mark.usefixtures("strace_works")
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("call", CALLS)
def test_every_system_call_of_a_save_may_fail(tmp_path: Path, call: str, fault: str) -> None:
    n_reached = 0
    for k in range(1, 30):
        target = tmp_path / str(k) / "table.csv"
        target.parent.mkdir()
        target.write_bytes(OLD)
        if not check_fault(target, call, k, fault):
            break
        n_reached += 1
    assert 1 <= n_reached < 29
