"""Names of projects that nobody named."""

from datetime import datetime

import pytest

from napari_convnet.widgets.project_names import unnamed_path

NOW = datetime(2026, 11, 21, 15, 4, 59)


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("smear 3", "smear 3 2026-11-21 15.04.convnet"),
        ("", "2026-11-21 15.04.convnet"),
        ("a/b\\c:d*?.tif", "a_b_c_d_tif 2026-11-21 15.04.convnet"),
        ("..", "2026-11-21 15.04.convnet"),
        ("細胞 1", "細胞 1 2026-11-21 15.04.convnet"),
        ("x" * 90, "x" * 40 + " 2026-11-21 15.04.convnet"),
    ],
)
def test_a_name_tells_image_and_time_and_fits_every_file_system(tmp_path, image, name):
    assert unnamed_path(tmp_path, image, NOW) == tmp_path / name


def test_a_name_that_is_taken_gets_a_number(tmp_path):
    for number in ("", " (2)"):
        path = unnamed_path(tmp_path, "smear", NOW)
        assert path.name == f"smear 2026-11-21 15.04{number}.convnet"
        path.touch()


def test_the_first_annotation_names_its_project_after_the_image(desk):
    desk.open_sample("blood-smear-1")
    dock = desk.open_dock("Annotate")
    desk.use_tool(dock, "pick_patches")
    assert desk.session.project.path.name.startswith("blood smear 1 20")
    assert dock.project_bar.label.text().startswith("blood smear 1 20")
