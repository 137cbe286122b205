"""A GPU is taken only where the installed Paddle has code for it."""

import paddle
import pytest

from compress.process import device
from teachers.errors import RecipeError


@pytest.fixture
def gpu(monkeypatch):
    """(capability) -> a machine with such a GPU, as the GPU build sees it; the devices set."""

    def made(capability, version="2.6.2"):
        chosen = []
        monkeypatch.setattr(paddle, "__version__", version)
        monkeypatch.setattr(paddle, "is_compiled_with_cuda", lambda: True)
        monkeypatch.setattr(paddle.device.cuda, "device_count", lambda: 1)
        monkeypatch.setattr(paddle.device.cuda, "get_device_capability", lambda: capability)
        monkeypatch.setattr(paddle, "set_device", chosen.append)
        return chosen

    return made


@pytest.mark.parametrize(
    "capability, version, taken",
    [
        ((8, 6), "2.6.2", "gpu"),
        ((8, 9), "2.6.2", "gpu"),
        ((6, 1), "2.6.2", "gpu"),
        ((6, 0), "2.6.2", "cpu"),
        ((9, 0), "2.6.2", "cpu"),
        # Nobody has looked: the user knows what was installed
        ((9, 0), "3.3.1", "gpu"),
    ],
)
def test_auto_takes_a_gpu_that_the_build_has_code_for(gpu, capability, version, taken, capsys):
    chosen = gpu(capability, version)
    device.select("auto")
    assert chosen == [taken]
    assert ("has no code for this GPU" in capsys.readouterr().err) == (taken == "cpu")


def test_gpu_never_falls_back(gpu):
    gpu((9, 0))
    with pytest.raises(RecipeError, match=r"has no code for this GPU \(compute capability 9.0; it"):
        device.select("gpu")


def test_a_launcher_says_which_gpu(gpu, monkeypatch):
    monkeypatch.setenv("FLAGS_selected_gpus", "3")
    chosen = gpu((8, 6))
    device.select("gpu")
    assert chosen == ["gpu:3"]
