"""PQN: its loss against returns computed by hand, its values against a closed form."""

from functools import partial
from typing import Any

import pytest
import torch
from test_chain import DISCOUNT, Chain
from torch import Tensor
from toy_envs import copied, make, parameters, walk

from rlpyt.agents.dqn import DqnAgent
from rlpyt.algos.dqn import PQN
from rlpyt.data import NoState
from rlpyt.envs.build import EnvConfig
from rlpyt.utils.errors import RlpytError

T, B = 12, 3
GAMMA, LAMBDA, RATE = 0.9, 0.7, 0.1
MODEL: dict[str, Any] = {"hidden_sizes": (8,), "layer_norm": True}
make_q = partial(make, AgentCls=DqnAgent, **MODEL)


def returns_by_hand(samples: Any, best: Tensor) -> Tensor:
    """G of every step, [T, B], from max_a Q of every observation, one step after the other.

    Where an episode was truncated, and after the last row, the true next observation is not in the
    batch: its value was recorded.
    """
    found = torch.zeros(T, B, dtype=torch.float64)
    for b in range(B):
        for t in reversed(range(T)):
            reward = samples.reward[t, b].double()
            if samples.terminated[t, b]:
                found[t, b] = reward
            elif samples.truncated[t, b] or t == T - 1:
                found[t, b] = reward + GAMMA * samples.bootstrap_value[t, b]
            else:
                mixed = (1 - LAMBDA) * best[t + 1, b] + LAMBDA * found[t + 1, b]
                found[t, b] = reward + GAMMA * mixed
    return found


@pytest.mark.parametrize("mid_batch_reset", [True, False])
@pytest.mark.parametrize("recurrent", ["none", "lstm"])
@pytest.mark.parametrize("masked", [False, True])
def test_a_step_follows_the_gradient_to_returns_by_hand(
    masked: bool, recurrent: str, mid_batch_reset: bool
) -> None:
    algo = PQN(
        discount=GAMMA,
        q_lambda=LAMBDA,
        learning_rate=RATE,
        learning_rate_schedule="constant",
        epochs=1,
        minibatches=1,
        clip_grad_norm=None,
        OptimCls=torch.optim.SGD,
    )
    env = walk(masked=masked)
    agent, sampler = make_q(
        algo, env, T=T, B=B, mid_batch_reset=mid_batch_reset, recurrent=recurrent
    )
    for itr in range(3):  # the second batch starts within episodes
        samples = copied(sampler.obtain_samples(itr)[0])
        before = parameters(agent)
        state = samples.agent_info.prev_rnn_state[0] if recurrent == "lstm" else NoState()
        q = agent.model(*samples.agent_inputs, state)[0].values
        allowed = q.detach().clone()
        if masked:
            allowed[~samples.observation.action_mask.bool()] = -torch.inf
        return_ = returns_by_hand(samples, allowed.amax(-1))
        taken = q.gather(-1, samples.action.unsqueeze(-1)).squeeze(-1)
        known = torch.ones(T, B, dtype=torch.bool) if samples.valid is None else samples.valid
        loss = 0.5 * (return_ - taken)[known].square().mean()
        gradient = torch.autograd.grad(loss, list(agent.model.parameters()))
        info = algo.optimize_agent(itr, samples)
        assert info["loss"] == [pytest.approx(loss.item(), rel=1e-5)]
        for (name, found), step in zip(parameters(agent).items(), gradient, strict=True):
            assert step.abs().max() > 0, name
            torch.testing.assert_close(found, before[name] - RATE * step, rtol=1e-5, atol=1e-6)
    sampler.shutdown()


@pytest.mark.parametrize("ends", [True, False])
@pytest.mark.parametrize("q_lambda", [0.0, 0.65, 1.0])
def test_values_reach_the_closed_form(q_lambda: float, ends: bool) -> None:
    """A time limit is no end of the task."""
    algo = PQN(
        discount=DISCOUNT, q_lambda=q_lambda, learning_rate=0.05, minibatches=1, clip_grad_norm=None
    )
    env = EnvConfig(id=partial(Chain, ends), time_limit=4)
    agent, sampler = make(algo, env, T=6, B=4, n_itr=300, AgentCls=DqnAgent, hidden_sizes=())
    for itr in range(300):
        algo.optimize_agent(itr, sampler.obtain_samples(itr)[0])
    sampler.shutdown()
    with torch.no_grad():
        found = agent.model(*inputs_of(torch.eye(2)), NoState())[0].values
    last = 1.0 if ends else 1.0 / (1.0 - DISCOUNT)
    best = found.amax(-1).tolist()
    assert best == pytest.approx([DISCOUNT * last, last], abs=2e-2)


def inputs_of(observation: Tensor) -> Any:
    """Of a model without memory: it looks at the observation alone."""
    n = len(observation)
    zeros = torch.zeros(n, dtype=torch.int64)
    return observation, zeros, torch.zeros(n), torch.zeros(n, dtype=torch.bool)


def test_every_minibatch_has_noise_of_its_own() -> None:
    algo = PQN(epochs=2, minibatches=3)
    agent, sampler = make(algo, walk(), T=T, B=B, AgentCls=DqnAgent, hidden_sizes=(8,), noisy=True)
    seen = []
    resample = agent.model.resample

    def counted(rng: Any) -> None:
        resample(rng)
        seen.append([noise.clone() for name, noise in agent.model.named_buffers()])

    agent.model.resample = counted
    before = parameters(agent)
    algo.optimize_agent(0, sampler.obtain_samples(0)[0])
    sampler.shutdown()
    assert len(seen) == 6
    assert not any(torch.equal(a, b) for a, b in zip(seen[0], seen[1], strict=True))
    assert not any(torch.equal(before[name], now) for name, now in parameters(agent).items())


@pytest.mark.parametrize(
    ("settings", "model", "named"),
    [
        ({"minibatches": 99}, {}, "minibatches=99 is more than the 36 steps"),
        (
            {"minibatches": 4},
            {"recurrent": "gru"},
            "minibatches=4 is more than the 3 whole sequences",
        ),
        ({"q_lambda": 1.5}, {}, "q_lambda=1.5"),
        ({"epochs": 0}, {}, "epochs=0"),
        ({}, {"head": "quantile"}, "PQN does not learn"),
    ],
)
def test_settings_that_cannot_be(settings: Any, model: Any, named: str) -> None:
    with pytest.raises(RlpytError, match=named):
        make_q(PQN(**settings), walk(), T=T, B=B, **model)
