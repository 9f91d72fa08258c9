"""An Ascend NPU as far as it goes without one: a package torch_npu that adds ``npu`` to torch.

What these tests leave unproven: every kernel, HCCL itself, and the real package's import.
"""

import json
import os
import shutil
import subprocess
import sys
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from torch.utils.cpp_extension import include_paths

PYTHON_BACKEND = """
setup("npu", backend_module=Npu())
"""
COMPILED_BACKEND = """
torch.utils.rename_privateuse1_backend("npu")
torch.utils.generate_methods_for_privateuse1_backend()
torch._register_device_module("npu", Npu())
torch.ops.load_library({library!r})
"""
PACKAGE = """
import torch
from torch.distributed import Backend, ProcessGroupGloo
from torch.utils.backend_registration import _DummyBackendModule
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend as setup

class Npu(_DummyBackendModule):
    def device_count(self):
        return 2

    def get_device_name(self, index):
        return f"Stand-in {{index}}"

{backend}
made = []

def register(name):
    def make(options, _backend_options):
        made.append(name)
        return ProcessGroupGloo(
            options.store, options.group_rank, options.group_size, options.timeout
        )

    Backend.register_backend(name, make, extended_api=True, devices=["npu"])

register("lccl")  # first, as the real package does
register("hccl")
"""


@pytest.fixture
def run(tmp_path):
    """``run(program, package)`` in a process of its own, where torch_npu is ``package``; what it
    printed.
    """

    def in_process(program: str, package: str | None) -> str:
        if package is not None:
            (tmp_path / "torch_npu").mkdir()
            (tmp_path / "torch_npu" / "__init__.py").write_text(package)
        path = [str(tmp_path), str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
        environ = os.environ | {
            "PYTHONPATH": os.pathsep.join(path),
            "TORCH_DEVICE_BACKEND_AUTOLOAD": "0",
        }
        # Threads of torch's autograd, one for each accelerator, may not outlive the interpreter.
        program = f"import os, sys, torch\ntorch.set_num_threads(1)\n{program}\n"
        program += "sys.stdout.flush(); os._exit(0)"
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=tmp_path,
            env=environ,
            capture_output=True,
            text=True,
            timeout=100,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    return in_process


slow = partial(pytest.param, marks=pytest.mark.slow)
python_backend = pytest.mark.skipif(
    "_setup_privateuseone_for_python_backend" not in vars(torch.utils.backend_registration),
    reason="this torch takes no backend that is written in Python",
)
not_installed = pytest.mark.skipif(
    find_spec("torch_npu") is not None, reason="the real package is here"
)


def package(backend: str = PYTHON_BACKEND) -> str:
    return PACKAGE.format(backend=backend)


@python_backend
def test_the_package_is_imported_when_npu_is_named(run):
    out = run(
        """if True:
        from rlpyt.utils.device import rank_device, resolve_device
        from rlpyt.utils.errors import RlpytError
        assert resolve_device("cpu").type == "cpu"
        assert "torch_npu" not in sys.modules
        print(resolve_device("npu:1"), resolve_device("npu"), resolve_device("auto"))
        print([str(rank_device(resolve_device("auto"), rank)) for rank in (0, 1)])
        for call in (lambda: resolve_device("npu:2"), lambda: rank_device(torch.device("npu"), 2)):
            try:
                call()
            except RlpytError as error:
                print(error)
        """,
        package(),
    )
    devices, ranks, index, too_many = out.splitlines()
    assert devices == "npu:1 npu npu"
    assert ranks == "['npu:0', 'npu:1']"
    assert "'npu:2' is not here: this machine has 2 npu devices" in index
    assert "3 ranks on this machine, for 2 npu devices" in too_many


@python_backend
def test_auto_finds_the_npu_and_processes_talk_by_hccl(run):
    out = run(
        """if True:
        import torch.distributed as dist
        from rlpyt.utils.device import can_pin, collective_backend, resolve_device
        device = resolve_device("auto")
        backend = collective_backend(device)
        print(device, backend, can_pin())
        dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1)
        dist.get_backend_config()
        print(sys.modules["torch_npu"].made)
        """,
        package(),
    )
    assert out.splitlines() == ["npu hccl False", "['hccl']"]


@python_backend
def test_the_command_lists_it(run):
    out = run(
        """if True:
        from rlpyt.cli.main import main
        assert main(["devices", "--json"]) == 0
        """,
        package(),
    )
    devices = json.loads(out)
    assert devices["auto"] == "npu"
    assert [found["name"] for found in devices["accelerators"]] == ["npu:0", "npu:1"]
    assert [found["model"] for found in devices["accelerators"]] == ["Stand-in 0", "Stand-in 1"]
    assert devices["collectives"]["hccl"]
    assert devices["remedies"] == {}


@not_installed
def test_a_package_that_is_not_installed(run):
    out = run(
        """if True:
        from rlpyt.cli.main import main
        words = ["train", "ppo", "CartPole-v1", "--device", "npu:0", "--out", "run"]
        sys.stderr = sys.stdout
        print(main(words), os.path.exists("run"))
        """,
        None,
    )
    error, code = out.splitlines()
    assert error.startswith(
        "ERROR device: 'npu' needs the package torch_npu, which is not installed"
    )
    assert "pip install torch_npu" in error
    assert code == "2 False"


@pytest.mark.parametrize(
    "failure",
    [
        "raise ImportError('libhccl.so: cannot open shared object file')",
        slow("import ctypes; ctypes.CDLL('libhccl.so')"),
        slow("raise RuntimeError('libhccl.so and another accelerator')"),
    ],
)
def test_a_package_that_cannot_be_imported(run, failure):
    out = run(
        """if True:
        from rlpyt.cli.main import main
        from rlpyt.utils.device import describe_devices, resolve_device
        from rlpyt.utils.errors import RlpytError
        assert resolve_device("cpu").type == "cpu"
        for name in ("npu:0", "auto"):
            try:
                resolve_device(name)
            except RlpytError as error:
                print(error)
        main(["devices"])
        """,
        failure,
    )
    first, second, *table = out.splitlines()
    for error in (first, second):
        assert error.startswith("ERROR device: torch_npu cannot be imported: ")
        assert "libhccl.so" in error
        assert "made for torch" in error
    assert any("--device auto fails: ERROR device: torch_npu" in line for line in table)


@python_backend
def test_another_backend_of_an_extension(run):
    """By the name that it gives itself, and with the collectives that it registers."""
    out = run(
        """if True:
        from torch.distributed import Backend
        from torch.utils.backend_registration import _setup_privateuseone_for_python_backend
        from rlpyt.utils.device import collective_backend, resolve_device
        from rlpyt.utils.errors import RlpytError
        _setup_privateuseone_for_python_backend("wonder")
        print(resolve_device("wonder"), resolve_device("wonder:0"), resolve_device("auto"))
        try:
            collective_backend(resolve_device("wonder"))
        except RlpytError as error:
            print(error)
        Backend.register_backend("wccl", lambda *args: None, devices=["wonder"])
        print(collective_backend(resolve_device("wonder")))
        """,
        None,
    )
    devices, error, backend = out.splitlines()
    assert devices == "wonder wonder:0 wonder"
    assert "torch.distributed has no backend for wonder" in error
    assert backend == "wccl"


# --- with tensors: a backend that is compiled here, in the host's memory ---


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> Path:
    """``host_accelerator.cpp``, compiled."""
    if shutil.which("g++") is None:
        pytest.skip("needs g++")
    target = tmp_path_factory.mktemp("accelerator") / "host_accelerator.so"
    lib = Path(torch.__file__).parent / "lib"
    command = ["g++", "-std=c++20", "-O0", "-w", "-fPIC", "-shared", "-o", str(target)]
    command += [f"-I{path}" for path in include_paths()]
    command += [str(Path(__file__).with_name("host_accelerator.cpp"))]
    command += [f"-L{lib}", "-ltorch", "-ltorch_cpu", "-lc10"]
    subprocess.run(command, check=True, timeout=110)
    return target


@pytest.mark.slow
def test_a_model_on_npu_is_the_model_on_cpu(run, library: Path):
    out = run(
        """if True:
        from rlpyt.utils.device import resolve_device
        device = resolve_device("npu:1")
        generator = torch.Generator().manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2))
        x = torch.randn(5, 4, generator=generator)
        gradients = []
        for place in ("cpu", device):
            model.to(place)
            model.zero_grad()
            model(x.to(place)).square().sum().backward()
            gradients.append([parameter.grad.cpu() for parameter in model.parameters()])
        assert model[0].weight.device == device
        assert all(torch.allclose(a, b) for a, b in zip(*gradients))
        for wrong in ("cpu", "npu:0"):  # this backend is strict: what passes here is in one place
            try:
                torch.ones(2, 2, device=wrong) @ torch.ones(2, 2, device=device)
            except RuntimeError as error:
                print("refused")
        """,
        package(COMPILED_BACKEND.format(library=str(library))),
    )
    assert out.splitlines() == ["refused", "refused"]


@pytest.mark.slow
def test_a_batch_waits_for_its_copy_to_the_device_that_it_goes_to(run, library: Path):
    out = run(
        """if True:
        from rlpyt.replays.outputs import Outputs
        from rlpyt.utils.device import resolve_device
        outputs = Outputs(resolve_device("npu:1"))
        output = outputs.of(3, lambda pin: [torch.empty(3, pin_memory=pin)])
        output.arrays()[0][:] = 7.0
        (moved,) = output.send()
        print(moved.device, moved.tolist(), output._sent.device)
        """,
        package(COMPILED_BACKEND.format(library=str(library))),
    )
    assert out == "npu:1 [7.0, 7.0, 7.0] npu:1\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        "ppo CartPole-v1 --steps 512",
        "ppo CartPole-v1 --steps 512 --sampler gpu --workers 1",
        "ppo CartPole-v1 --steps 512 --sampler alternating --workers 2",
        "rainbow CartPole-v1 --steps 128 algo.min_steps_learn=64",
        "iqn CartPole-v1 --steps 256 algo.min_steps_learn=64",
        "sac Pendulum-v1 --steps 64 algo.min_steps_learn=32",
        "tqc Pendulum-v1 --steps 64 algo.min_steps_learn=32",
    ],
)
def test_a_run_on_npu_is_the_run_on_cpu(run, library: Path, words: str):
    """On the second device, which is not the current one: a tensor made without its device shows.

    No recurrent agent: torch's LSTM and GRU want fused kernels of every such backend.
    """
    out = run(
        f"""if True:
        from pathlib import Path
        from rlpyt.cli.main import main
        from rlpyt.cli.rundir import checkpoints_of
        from rlpyt.checkpoint.tree import flatten
        words = ["train", *{words.split()!r}, "--quiet", "--no-plot", "--no-tensorboard"]
        found = []
        for device in ("npu:1", "cpu"):
            assert main([*words, "--device", device, "--out", device]) == 0
            state, _manifest = checkpoints_of(Path(device)).load_latest()
            found.append(flatten(state["agent"])[0])
        assert len(found[0]) >= 4 and set(found[0]) == set(found[1])
        for name, value in found[0].items():
            torch.testing.assert_close(
                torch.as_tensor(value), torch.as_tensor(found[1][name]), atol=1e-3, rtol=1e-3
            )
        print("equal", sys.modules["torch_npu"].__name__)
        """,
        package(COMPILED_BACKEND.format(library=str(library))),
    )
    assert out.splitlines()[-1] == "equal torch_npu"
