"""Damaged, foreign and newer files: refused, or opened with the damage named."""

import os
import random
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from project_helpers import content

from napari_convnet.errors import UserError
from napari_convnet.project import Project, backups_of
from napari_convnet.project.schema import FORMAT_VERSION


def refusal(path, **options):
    """The error of opening a file, after making sure that the file is as it was."""
    before = path.read_bytes(), path.stat().st_mtime_ns
    with pytest.raises(UserError) as caught:
        Project.open(path, **options)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert sorted(p.name for p in path.parent.iterdir() if p.name != "backups") == [path.name]
    assert len(caught.value.message) <= 300
    return caught.value


def test_a_newer_format_is_refused_and_untouched(filled, folder):
    with closing(sqlite3.connect(filled)) as raw:
        raw.execute(f"PRAGMA user_version = {FORMAT_VERSION + 1}")
    error = refusal(filled, backup_folder=folder)
    assert error.code == "CN-304"
    assert f"format {FORMAT_VERSION + 1}" in error.message


def test_foreign_and_empty_files_are_refused_and_untouched(tmp_path):
    alone = tmp_path / "alone"
    alone.mkdir()
    file = alone / "a.convnet"
    for junk in (b"", b"SQLite format 3\x00", b"PK\x03\x04" * 100, os.urandom(9000)):
        file.write_bytes(junk)
        assert refusal(file).code == "CN-303"
    file.unlink()
    with closing(sqlite3.connect(file)) as raw:
        raw.execute("CREATE TABLE notes (text)")
    assert refusal(file).code == "CN-303"


def test_a_file_that_is_cut_short_is_refused_and_its_backup_is_named(filled, folder):
    whole = filled.read_bytes()
    for length in (100, 1000, 4096, 5000, len(whole) // 2, len(whole) - 4096, len(whole) - 1):
        filled.write_bytes(whole[:length])
        error = refusal(filled, backup_folder=folder)
        assert error.code == "CN-303"
        assert str(backups_of(filled, folder)[0]) in error.message + error.details


def test_code_in_the_file_is_never_run(filled, folder):
    with closing(sqlite3.connect(filled)) as raw:
        raw.execute("CREATE TRIGGER t AFTER INSERT ON patch BEGIN DELETE FROM object_class; END")
    with Project.open(filled, backup_folder=folder) as project:
        assert project.read_only
        assert "trigger" in " ".join(project.damage)
        assert len(project.object_annotations(1)) == 120


SPOILED = {
    "object_class": "UPDATE object_class SET value = 1 WHERE label = 7",
    "painted_tile": "UPDATE painted_tile SET pixels = zeroblob(99) WHERE tile_y = 1 AND tile_x = 1",
    "class": "UPDATE class SET name = 'rouno' WHERE task = 'classify' AND value = 1",
    "image": "UPDATE image SET source = CAST(x'ff41' AS TEXT)",
    "patch": "UPDATE patch SET centre_y = 5.5 WHERE id = 3",
    "run": "UPDATE run SET scores = '{}'",
    "epoch": "UPDATE epoch SET curves = '[' WHERE epoch = 4",
}


def spoil(path, statement):
    with closing(sqlite3.connect(path)) as raw, raw:
        # Something else has changed since the newest backup, too.
        raw.execute("UPDATE run SET id = id")
        assert raw.execute(statement).rowcount == 1


@pytest.mark.parametrize("table", SPOILED)
def test_a_damaged_row_is_found_and_restored_from_the_backup(filled, folder, table):
    with Project.open(filled, backup_folder=folder) as project:
        rows, painted = content(project)
    spoil(filled, SPOILED[table])
    with Project.open(filled, backup_folder=folder) as project:
        (report,) = project.damage
        assert report.startswith(table.replace("_", " "))
        assert "restored as it was in the backup" in report
        found_rows, found_painted = content(project)
        assert found_rows == rows
        np.testing.assert_array_equal(found_painted, painted)
        newest, *_ = backups_of(filled, folder)
    with Project.open(filled, backup_folder=folder) as project:
        assert project.damage == (), "it stays restored"
    with Project.open(newest, read_only=True) as damaged_copy:
        assert len(damaged_copy.damage) == 2, "the damaged state is kept as well"


@pytest.mark.parametrize("table", SPOILED)
def test_a_damaged_row_without_a_backup_is_left_out_and_kept(filled, tmp_path, table):
    spoil(filled, SPOILED[table])
    with Project.open(filled, backup_folder=tmp_path / "none") as project:
        assert not project.read_only
        row, newest = project.damage
        assert row.startswith(table.replace("_", " "))
        assert row.endswith("damaged, left out")
        assert newest == "Newest backup: none"
        rows, _ = content(project)
        if table == "class":
            assert project.classes("classify")[0].name == "class 1 (damaged)"
            assert project.classes("classify")[1].name == "long"
        assert project.write_painting(1, (), project.read_painting(1, (), (600, 600))) == 0
    with Project.open(filled, backup_folder=tmp_path / "none") as project:
        assert project.damage[0] == row
        assert content(project)[0] == rows


def test_reading_only_names_damage_and_restores_nothing(filled, folder):
    Project.open(filled, backup_folder=folder).close()
    spoil(filled, SPOILED["patch"])
    before = filled.read_bytes()
    with Project.open(filled, read_only=True, backup_folder=folder) as project:
        assert "left out" in project.damage[0]
        assert str(backups_of(filled, folder)[0]) in project.damage[1]
        assert len(project.patches(1)) == 39
    assert filled.read_bytes() == before


def test_a_row_is_not_restored_once_class_values_mean_something_else(filled, folder):
    Project.open(filled, backup_folder=folder).close()
    with Project.open(filled, backup_folder=folder) as project:
        project.delete_class("classify", 1)
    spoil(filled, "UPDATE object_class SET centre_y = 0.5 WHERE label = 7")
    with Project.open(filled, backup_folder=folder) as project:
        assert "left out" in project.damage[0]
        assert all(annotation.value == 1 for annotation in project.object_annotations(1))


def test_a_damaged_model_is_not_given_out(filled, folder):
    spoil(filled, "UPDATE model_part SET bytes = CAST('x' AS BLOB)")
    with Project.open(filled, backup_folder=folder) as project:
        with pytest.raises(UserError, match="run 1") as caught:
            project.model_bytes(1)
        assert caught.value.code == "CN-303"


def try_to_open(path, **options):
    """The project, or the code of the refusal."""
    try:
        return Project.open(path, **options), ""
    except UserError as error:
        return None, error.code


def flip_bits(path, folder, number):
    """Open a project with one flipped bit, many times; count refusals and reports."""
    with Project.open(path, read_only=True) as project:
        rows, painted = content(project)
    whole = path.read_bytes()
    chance = random.Random(number)
    counts = {"refused": 0, "reported": 0, "the same": 0}
    for turn in range(number):
        flipped = bytearray(whole)
        flipped[chance.randrange(len(whole))] ^= 1 << chance.randrange(8)
        path.write_bytes(flipped)
        # Writing waits for the disk many times: every tenth turn is enough.
        project, code = try_to_open(path, read_only=turn % 10 > 0, backup_folder=folder)
        if project is None:
            assert code in ("CN-303", "CN-304", "CN-305")
            assert path.read_bytes() == flipped
            counts["refused"] += 1
            continue
        with project:
            found_rows, found_painted = content(project)
            if project.damage:
                counts["reported"] += 1
                for kind in rows.keys() - {"classes"}:
                    assert found_rows[kind] <= rows[kind]
                assert ((found_painted == painted) | (found_painted == 0)).all()
            else:
                counts["the same"] += 1
                assert found_rows == rows
                np.testing.assert_array_equal(found_painted, painted)
    return counts


def test_flipped_bits_are_refused_or_reported_or_harmless(filled, tmp_path):
    counts = flip_bits(filled, tmp_path / "none", 150)
    assert counts["reported"] > 20


@pytest.mark.long
def test_two_thousand_flipped_bits_are_refused_or_reported_or_harmless(filled, tmp_path):
    print(flip_bits(filled, tmp_path / "none", 2000))


def test_a_damaged_backup_is_passed_over_for_an_older_one(filled, folder):
    for label in (500, 501):
        with Project.open(filled, backup_folder=folder) as project:
            project.set_object_class(1, "nuclei", label, (), (1, 1), 1)
    backups_of(filled, folder)[0].write_bytes(b"garbage" * 1000)
    spoil(filled, SPOILED["patch"])
    with Project.open(filled, backup_folder=folder) as project:
        assert "restored" in project.damage[0]
        assert len(project.patches(1)) == 40


def test_leftovers_of_other_programs_in_the_backup_folder_stay(filled, folder):
    place = backups_of(filled, folder)[0].parent
    (place / "mine.txt").write_text("mine")
    for label in range(600, 610):
        with Project.open(filled, backup_folder=folder) as project:
            project.set_object_class(1, "nuclei", label, (), (1, 1), 1)
    assert len(backups_of(filled, folder)) == 5
    assert sorted(file.suffix for file in Path(place).iterdir()) == [".convnet"] * 5 + [".txt"]
