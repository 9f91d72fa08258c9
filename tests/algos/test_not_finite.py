"""What learns beside the agent's networks, an intrinsic reward or the entropy's temperature, stops
before a number that is not finite changes it, as a gradient step does (tests/runners).
"""

from copy import deepcopy
from typing import Any

import pytest
import torch
from test_pearl import run as run_trials
from test_pearl import started as started_trials
from test_qpg import started
from torch import Tensor
from toy_envs import make, walk

from rlpyt.algos.intrinsic import IntrinsicRewards
from rlpyt.algos.optimizer import GradientStep
from rlpyt.algos.pg.ppo import PPO
from rlpyt.algos.qpg.temperature import Temperature
from rlpyt.rewards import ICM, RND, BYOLExplore, IntrinsicReward, samples_of
from rlpyt.utils.errors import RlpytError

pytestmark = pytest.mark.faults("F07")

SMALL: dict[str, Any] = {"feature_size": 4, "hidden_sizes": (8,)}


def copies(module: torch.nn.Module) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in module.parameters()]


@pytest.mark.parametrize("clip", [None, 1.0])
@pytest.mark.parametrize("RewardCls", [RND, ICM, BYOLExplore])
def test_a_reward_is_not_learned_from_what_is_not_finite(
    RewardCls: type[IntrinsicReward], clip: float | None
) -> None:
    chosen = {**SMALL, "clip_grad_norm": clip, "normalize_observation": False}
    algo = PPO(intrinsic=IntrinsicRewards(RewardCls=RewardCls, reward_kwargs=chosen))
    agent, sampler = make(algo, walk(), T=6, B=3)
    algo.optimize_agent(0, sampler.obtain_samples(0)[0])
    reward, own = copies(algo.intrinsic.module), copies(agent.model)
    optimizer = deepcopy(algo.intrinsic.module.learner.get_extra_state()["optimizer"])
    samples = sampler.obtain_samples(1)[0]
    samples.observation[2, 1] = torch.inf
    with pytest.raises(RlpytError, match=r"observation\[2, 1, 0\] is inf") as refused:
        algo.optimize_agent(1, samples)
    assert refused.value.where == RewardCls.__name__
    with pytest.raises(RlpytError, match=r"gradient's norm is nan: loss term loss is") as caught:
        algo.intrinsic.module.update(samples_of(samples))  # where it does not look at the numbers
    assert caught.value.code == "diverged"
    assert caught.value.where == "intrinsic reward"
    assert "clip_grad_norm" in caught.value.hint
    assert all(map(torch.equal, copies(algo.intrinsic.module), reward))
    assert all(map(torch.equal, copies(agent.model), own))
    kept = algo.intrinsic.module.learner.get_extra_state()["optimizer"]
    assert all(torch.equal(kept[i]["exp_avg"], optimizer[i]["exp_avg"]) for i in optimizer)
    sampler.shutdown()


def test_the_rewards_error_names_the_parameter() -> None:
    algo = PPO(intrinsic=IntrinsicRewards(reward_kwargs=SMALL))
    _agent, sampler = make(algo, walk(), T=6, B=3)
    predictor = algo.intrinsic.module.predictor.body.output
    with torch.no_grad():
        predictor.bias[2] = torch.nan
    with pytest.raises(RlpytError, match=r"parameter FeatureNetwork\.body\.output\.bias\[2\] was"):
        algo.optimize_agent(0, sampler.obtain_samples(0)[0])
    sampler.shutdown()


@pytest.mark.parametrize("entropy", [torch.nan, torch.inf, -torch.inf])
def test_a_temperature_does_not_follow_what_is_not_finite(entropy: float) -> None:
    temperature = Temperature()
    temperature.initialize(torch.optim.Adam, -1.0, torch.zeros(()))
    temperature.step(1e-2, torch.tensor(0.5))
    before = deepcopy(temperature.state_dict())
    with pytest.raises(RlpytError, match=r"the policy's entropy is -?(nan|inf)") as caught:
        temperature.step(1e-2, torch.tensor(entropy))
    assert caught.value.code == "diverged"
    assert "algo.temperature.learning_rate" in caught.value.hint
    after = temperature.state_dict()
    assert torch.equal(after["log_alpha"], before["log_alpha"])
    assert torch.equal(after["optimizer"][0]["exp_avg"], before["optimizer"][0]["exp_avg"])
    Temperature.step(_fixed(), 1e-2, torch.tensor(entropy))  # nothing learns from it


def _fixed() -> Temperature:
    temperature = Temperature(learn=False)
    temperature.initialize(torch.optim.Adam, -1.0, torch.zeros(()))
    return temperature


def test_an_iteration_does_not_end_with_a_temperature_that_is_not_finite() -> None:
    """As on an accelerator, where a step does not wait to see its entropy."""
    algo, batches = started("sac")
    algo.temperature._log_alpha.fill_(torch.nan)
    algo._loop._count = algo._loop._count._replace(first_itr=100)  # it does not learn now
    with pytest.raises(RlpytError, match="its logarithm is nan") as caught:
        algo.optimize_agent(0, batches[0])
    assert caught.value.code == "diverged"


@pytest.mark.parametrize("name", ["_critic_step", "_policy_step", "_value_step"])
def test_an_iteration_of_pearl_tells_every_networks_norm(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On an accelerator too, where a step does not wait to see its gradient's norm."""
    algo, _acting, sampler = started_trials()
    run_trials(algo, sampler, 1)
    step, spoiled = GradientStep.step, getattr(algo, name)

    def unseen(self: GradientStep, rate: float, *args: Any, share: Any = None) -> Any:
        report, norm = step(self, rate, *args, share=share)
        return report, norm * torch.nan if self is spoiled else norm

    monkeypatch.setattr(GradientStep, "step", unseen)
    with pytest.raises(RlpytError, match="the gradient's norm is nan"):
        run_trials(algo, sampler, 1, start=1)
    sampler.shutdown()


def test_critics_can_learn_after_a_step_of_the_policy_that_failed() -> None:
    algo, batches = started("sac")
    for samples in batches:
        algo.replay.append(samples)
    with torch.no_grad():
        next(algo.online.policy.parameters()).fill_(torch.nan)
    with pytest.raises(RlpytError, match="the gradient's norm is nan"):
        algo._improve(1e-3, algo._seen(algo.replay.sample(16)))
    assert all(parameter.requires_grad for parameter in algo.online.critic.parameters())


@pytest.mark.parametrize("rate", [-1e-3, torch.nan, torch.inf])
def test_a_temperatures_learning_rate_out_of_range_is_refused(rate: float) -> None:
    temperature = Temperature(learning_rate=rate)
    with pytest.raises(RlpytError, match=r"algo\.temperature\.learning_rate"):
        temperature.initialize(torch.optim.Adam, -1.0, torch.zeros(()))
