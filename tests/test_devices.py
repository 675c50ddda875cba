"""A device is one that computes."""

import threading

import pytest
import torch

from napari_convnet import UserError
from napari_convnet.devices import choose_device, computes, report_devices, use_all_cores


def test_the_processor_always_computes():
    assert computes("cpu") == ""
    assert choose_device("cpu") == torch.device("cpu")


def test_auto_is_what_the_report_says():
    report = report_devices()
    assert choose_device("auto").type == report.device
    assert torch.__version__ in report.text


@pytest.mark.parametrize("wanted", ["cuda", "mps"])
def test_a_device_that_does_not_compute_is_refused(wanted):
    if computes(wanted) == "":
        assert choose_device(wanted).type == wanted
        return
    with pytest.raises(UserError, match=f"'{wanted}' does not work") as refused:
        choose_device(wanted)
    assert refused.value.code == "CN-203"
    assert refused.value.details


def test_a_build_without_graphics_says_how_to_get_one():
    report = report_devices()
    is_cpu_build = not (torch.version.cuda or torch.version.hip or torch.backends.mps.is_built())
    assert bool(report.install_command) == is_cpu_build


def test_a_worker_computes_with_as_many_threads_as_the_main_thread():
    use_all_cores()
    expected, found = torch.get_num_threads(), []

    def work():
        torch.set_num_threads(expected + 1)
        use_all_cores()
        found.append(torch.get_num_threads())

    worker = threading.Thread(target=work)
    worker.start()
    worker.join()
    assert found == [expected]
