import json
import os
import re
import subprocess
import sys
import time
import warnings
from importlib import metadata
from pathlib import Path

import pytest
import torch
from warm_python import start

import rlpyt
from rlpyt.utils import provenance
from rlpyt.utils.git import Repository
from rlpyt.utils.provenance import (
    Session,
    describe_session,
    installed_packages,
    source_digest,
    user_folder,
)

CPU = torch.device("cpu")


def described(settings: dict[str, object] | None = None) -> Session:
    return describe_session(settings or {"seed": 3}, seed=3, plan={"n_workers": 2}, device=CPU)


def test_packages_are_those_that_can_be_imported():
    places = metadata.DistributionFinder.Context(path=sys.path)
    first: dict[str, str] = {}  # a second version, such as one that a package vendors, is not seen
    for found in metadata.MetadataPathFinder.find_distributions(places):
        first.setdefault(re.sub(r"[-_.]+", "-", found.name).lower(), found.version)
    expected = {f"{name}=={version}" for name, version in first.items()}
    packages = installed_packages()
    assert set(packages) == expected
    names = [each.partition("==")[0] for each in packages]
    assert names == sorted(names)
    assert f"torch=={metadata.version('torch')}" in packages


def test_the_first_of_two_versions_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for folder, names in {
        "a": ["My_Env-1.2.dist-info", "legacy-0.1-py3.11.egg-info"],
        "b": ["my_env-1.0.dist-info", "other-2.0+cpu.dist-info", "README"],
    }.items():
        for name in names:
            (tmp_path / folder / name).mkdir(parents=True)
    source = tmp_path / "b" / "source_tree.egg-info"
    source.mkdir()
    (source / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: source.tree\nVersion: 3\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "gone"), *(str(tmp_path / x) for x in "ab")])
    assert installed_packages() == [
        "legacy==0.1",
        "my-env==1.2",
        "other==2.0+cpu",
        "source-tree==3",
    ]


def test_a_session_is_data_that_says_where_it_ran(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("MY_TOKEN", "hunter2")
    record = json.loads(json.dumps(described().record))
    assert record["seed"] == 3
    assert record["plan"] == {"n_workers": 2}
    assert record["command"] == sys.argv
    assert record["machine"]["torch_threads"] == torch.get_num_threads()
    assert record["machine"]["device"] == "cpu"
    assert record["machine"]["cpus"] == os.cpu_count()
    assert record["environment"]["OMP_NUM_THREADS"] == "1"
    assert record["environment"]["CUDA_VISIBLE_DEVICES"] == ""
    assert "hunter2" not in json.dumps(record)
    assert record["hashes"]["rlpyt"] == source_digest()


def test_hashes_tell_settings_and_sources_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    first, same, other = (
        described(each).record["hashes"]["settings"]
        for each in ({"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": 1, "b": 3})
    )
    assert first == same != other
    (tmp_path / "a.py").write_text("x = 1\n")
    monkeypatch.setattr(rlpyt, "__file__", str(tmp_path / "__init__.py"))
    before = source_digest()
    (tmp_path / "a.py").write_text("x = 2\n")
    assert len({before, source_digest()}) == 2


SCRIPT = "from rlpyt.utils.provenance import user_folder\nprint(user_folder({}))\n"


def test_a_script_is_the_users_and_a_command_is_not(tmp_path: Path):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "train.py").write_text(SCRIPT)
    (tmp_path / "code" / "rlpyt").write_text(SCRIPT)
    (tmp_path / "elsewhere").mkdir()
    here = str(tmp_path / "elsewhere")
    environ = {**os.environ, "PYTHONPATH": str(Path(rlpyt.__file__).parents[1])}
    for words, expected in (
        (["../code/train.py"], str(tmp_path / "code")),
        (["../code/rlpyt"], here),
        (["-c", SCRIPT], here),
    ):
        process = start(words, cwd=here, env=environ, stdout=subprocess.PIPE)
        out, _err = process.communicate()
        assert out.strip() == expected
        assert process.returncode == 0
    assert user_folder({}) == Path.cwd()  # pytest is a command


def test_of_a_command_the_users_code_is_what_the_settings_name(tmp_path: Path, monkeypatch):
    for name in ("one/my_own_envs.py", "two/my_own_package/__init__.py"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("")
        monkeypatch.syspath_prepend(str(tmp_path / name.partition("/")[0]))
    plain = {"class": "rlpyt.runners.minibatch_rl.MinibatchRl", "device": "cpu", "seed": 1}
    assert user_folder(plain) == Path.cwd()
    for names, expected in (
        ({"env": {"id": "my_own_envs:make"}}, tmp_path / "one"),
        ({"agent": {"class": "my_own_package.agents.Agent"}}, tmp_path / "two"),
        ({"env": "gymnasium:CartPole-v1", "partial": "json:loads"}, Path.cwd()),
        ({"env": "no_such_module:make", "other": "x: y", "class": "__main__.A"}, Path.cwd()),
    ):
        assert user_folder({**plain, **names}) == expected


def test_the_repositories_of_the_user_and_of_rlpyt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The second only where rlpyt is installed from one, and is not in the user's."""
    asked = []

    def fake(folder: Path) -> Repository:
        asked.append(folder)
        return Repository(root=folder, commit="0" * 40)

    source = tmp_path / "source"
    (source / "rlpyt").mkdir(parents=True)
    monkeypatch.setattr(rlpyt, "__file__", str(source / "rlpyt" / "__init__.py"))
    monkeypatch.setattr(rlpyt, "__path__", [str(source / "rlpyt")])
    monkeypatch.setattr(provenance, "read_repository", fake)
    monkeypatch.chdir(tmp_path)
    assert list(described().record["git"]) == ["user"]
    (source / ".git").mkdir()
    assert list(described().record["git"]) == ["user", "rlpyt"]
    assert asked[1:] == [tmp_path, source]
    monkeypatch.chdir(source)
    assert list(described().record["git"]) == ["user"]


@pytest.mark.bench
def test_a_session_costs_little():
    described()
    start = time.perf_counter()
    for _ in range(5):
        described()
    assert (time.perf_counter() - start) / 5 < 0.1


def test_warnings_that_were_shown_stay_shown():
    """Python forgets them wherever ``warnings.catch_warnings`` is entered, as subprocess does."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(2):
            warnings.warn("once", UserWarning, stacklevel=1)
            described()
    assert len(caught) == 1
