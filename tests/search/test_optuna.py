"""The search that Optuna's estimator leads, with a module that stands for it."""

import sys
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from search_fakes import RATE, TWO, Bench, FakeLaunchers, KilledError, plan_of

from rlpyt.launch.affinity import get_n_run_slots
from rlpyt.search import Choice, IntUniform, LogUniform, Uniform
from rlpyt.search.space import as_space
from rlpyt.search.standing import WORST
from rlpyt.search.tpe import ask_optuna, check_optuna
from rlpyt.utils.errors import RlpytError


@dataclass
class FakeStudy:
    """Asks for the best known value times 1.1, or the lowest where it knows none."""

    sampler: Any
    trials: list[Any] = field(default_factory=list)

    def add_trial(self, trial: Any) -> None:
        self.trials.append(trial)

    def ask(self, distributions: dict[str, Any]) -> Any:
        FAKE_LOG.append((self.sampler.seed, [trial.value for trial in self.trials]))
        params = {path: one.low for path, one in distributions.items()}
        if self.trials:
            best = max(self.trials, key=lambda trial: trial.value)
            params = {path: value * 1.1 for path, value in best.params.items()}
        return SimpleNamespace(params=params)


FAKE_LOG: list[tuple[int, list[float]]] = []


def ranged(low, high, log=False):
    return SimpleNamespace(low=low, high=high, log=log)


@pytest.fixture
def optuna(monkeypatch):
    FAKE_LOG.clear()
    fake = SimpleNamespace(
        __version__="4.1.0",
        logging=SimpleNamespace(WARNING=30, set_verbosity=lambda level: None),
        samplers=SimpleNamespace(TPESampler=lambda seed: SimpleNamespace(seed=seed)),
        create_study=lambda direction, sampler: FakeStudy(sampler),
        trial=SimpleNamespace(create_trial=lambda **all_: SimpleNamespace(**all_)),
        distributions=SimpleNamespace(
            FloatDistribution=ranged,
            IntDistribution=ranged,
            CategoricalDistribution=lambda choices: ranged(choices[0], choices[-1]),
        ),
    )
    monkeypatch.setitem(sys.modules, "optuna", fake)
    return fake


def test_each_next_trial_is_asked_for_with_what_is_known(optuna, bench: Bench):
    result = bench.search(plan_of(method="optuna", n_trials=6, seeds=2))
    assert len(result.trials) == 6
    values = [t.values[RATE] for t in sorted(result.trials, key=lambda trial: trial.number)]
    assert values[0] == 1e-5
    assert max(values) > 1.1e-5
    known = [len(objectives) for _, objectives in FAKE_LOG]
    assert known == [0, 1, 2, 3, 4, 5] or known == [0, 0, 1, 2, 3, 4]
    assert len({seed for seed, _ in FAKE_LOG}) == 6


def test_so_many_trials_are_queued_as_slots_need(optuna, bench: Bench):
    waiting: list[int] = []

    def tell(line: str) -> None:
        waiting.append(0)
        bench.lines.append(line)

    n_open: list[int] = []
    real = FakeLaunchers._train

    def train(self, run):
        n_open.append(sum(self._queue.counts().get(state, 0) for state in ("queued", "running")))
        real(self, run)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FakeLaunchers, "_train", train)
        bench.search(plan_of(method="optuna", n_trials=5, seeds=1), tell=tell)
    assert max(n_open) == get_n_run_slots(TWO) == 2


def test_it_goes_on_as_it_would_have(optuna, tmp_path, monkeypatch):
    plan = plan_of(method="optuna", n_trials=6, seeds=1)
    whole = Bench(tmp_path / "whole", monkeypatch)
    expected = whole.search(plan)
    bench = Bench(tmp_path / "parts", monkeypatch)
    bench.launchers.kill_after = 3
    with pytest.raises(KilledError):
        bench.search(plan)
    bench.launchers.kill_after = None
    assert bench.search(plan).trials == expected.trials
    assert len(bench.launchers.done) == 6


def test_a_failed_trial_is_told_as_the_worst(optuna, bench: Bench):
    bench.launchers.fails = lambda run: run.spec.log_dir == "trial_000"
    bench.search(plan_of(method="optuna", n_trials=4, seeds=1))
    assert FAKE_LOG[-1][1][0] == WORST


def test_without_optuna_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(RlpytError, match=r'pip install "rlpyt\[optuna\]"'):
        check_optuna()


def test_an_old_optuna_is_refused(optuna):
    optuna.__version__ = "3.6.1"
    with pytest.raises(RlpytError, match=r"optuna 3\.6\.1 is too old"):
        check_optuna()


def test_with_the_real_one():
    pytest.importorskip("optuna")
    space = as_space(
        {
            "rate": LogUniform(1e-5, 1e-1),
            "discount": Uniform(0.9, 1.0),
            "epochs": IntUniform(1, 5),
            "sizes": Choice([[64, 64], [256]]),
        }
    )
    finished: list[tuple[dict[str, Any], float]] = []
    for number in range(25):
        values = ask_optuna(space, finished, seed=0, number=number)
        assert values == ask_optuna(space, finished, seed=0, number=number)
        assert 1e-5 <= values["rate"] <= 1e-1
        assert values["sizes"] in [[64, 64], [256]]
        assert type(values["epochs"]) is int
        objective = WORST if number == 3 else -float(abs(values["epochs"] - 5))
        finished.append((values, objective))
    late = [values["epochs"] for values, _ in finished[15:]]
    assert sum(late) / len(late) > 3.5
