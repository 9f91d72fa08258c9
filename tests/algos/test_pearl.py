"""PEARL: its losses, who learns from which, what it collects, and that it learns to adapt."""

from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import Independent, Normal, kl_divergence
from toy_envs import CPU, copied
from trial_fakes import Scripted

from rlpyt.agents import Conditioned, PearlAgent, QpgAgent
from rlpyt.algos import PEARL
from rlpyt.algos.meta.collected import append_trials
from rlpyt.algos.meta.losses import critic_loss, policy_loss
from rlpyt.data import AgentInputs, BatchSpec, NoState
from rlpyt.envs import EnvConfig, peek_spaces
from rlpyt.envs.trials import TRIAL_INFO_KEYS, TrialTrajInfo
from rlpyt.ops.posterior import sample_gaussians
from rlpyt.replays import TaskReplay
from rlpyt.runners import Evaluator
from rlpyt.samplers import SerialSampler
from rlpyt.utils.errors import RlpytError

M, N, C = 3, 6, 4


def trials(env: str, **kwargs: Any) -> EnvConfig:
    kwargs = {"env": env, "n_train": 4, **kwargs}
    id_ = "rlpyt.envs.adaptation:training_trials"
    return EnvConfig(id=id_, kwargs=kwargs, info_keys=TRIAL_INFO_KEYS)


POINTS = trials("rlpyt.envs.meta:point_robot", initial_steps=20, prior_steps=20, extra_steps=20)


def agent(**encoder_kwargs: Any) -> PearlAgent:
    return PearlAgent(
        policy=QpgAgent(model_kwargs={"hidden_sizes": (16, 16)}),
        latent_size=2,
        encoder_kwargs={"hidden_sizes": (16,), **encoder_kwargs},
    )


def algorithm(**settings: Any) -> PEARL:
    small: dict[str, Any] = {
        "replay": TaskReplay(size=500),
        "meta_batch": M,
        "batch_size": N,
        "context_size": C,
        "train_steps": 2,
        "hidden_sizes": (16, 16),
        "learning_rate": 1e-2,
    }
    return PEARL(**{**small, **settings})


def started(
    env: EnvConfig = POINTS, *, T: int = 40, B: int = 2, encoder: Any = None, **settings: Any
) -> tuple[PEARL, PearlAgent, SerialSampler]:
    acting, algo = agent(**(encoder or {})), algorithm(**settings)
    sampler = SerialSampler(env=env, batch_T=T, batch_B=B)
    acting.initialize(sampler.env_spaces(), seed=0, device=CPU)
    sampler.initialize(acting, seed=0)
    algo.initialize(acting, n_itr=10, batch_spec=sampler.batch_spec, seed=0)
    return algo, acting, sampler


def run(algo: PEARL, sampler: SerialSampler, n_itr: int, start: int = 0) -> None:
    for itr in range(start, start + n_itr):
        algo.optimize_agent(itr, copied(sampler.obtain_samples(itr)[0]))


def test_the_divergence_is_summed_over_tasks_and_dimensions_and_the_error_is_a_mean():
    rng = torch.Generator().manual_seed(0)
    q, target = torch.randn(2, M, N, generator=rng), torch.randn(M, N, generator=rng)
    mean, std = torch.randn(M, 5, generator=rng), torch.rand(M, 5, generator=rng) + 0.1
    prior = Independent(Normal(torch.zeros(M, 5), torch.ones(M, 5)), 1)
    kl = kl_divergence(Independent(Normal(mean, std), 1), prior)
    error = sum(
        (q[i, m, n] - target[m, n]) ** 2 for i in (0, 1) for m in range(M) for n in range(N)
    )
    expected = error / (M * N) + 0.3 * kl.sum()
    torch.testing.assert_close(critic_loss(q, target, kl, kl_lambda=0.3), expected)


def test_the_policy_climbs_the_critic_stays_random_and_small():
    rng = torch.Generator().manual_seed(0)
    q, log_prob = torch.randn(2, M, N, generator=rng)
    mean, log_std = torch.randn(2, M, N, 2, generator=rng)
    expected = sum((log_prob - q)[m, n] for m in range(M) for n in range(N)) / (M * N)
    expected += 0.5 * ((mean**2).sum() + (log_std**2).sum()) / (2 * M * N)
    found = policy_loss(q, log_prob, mean, log_std, regularization=0.5)
    torch.testing.assert_close(found, expected)


def parts(algo: PEARL) -> dict[str, torch.nn.Module]:
    return {
        "critic": algo.critic,
        "encoder": algo.agent.encoder,
        "policy": algo.agent.policy.model,
        "value": algo.value,
        "target": algo.target_value,
    }


def reached(loss: Tensor, algo: PEARL) -> set[str]:
    """Which networks ``loss`` depends on, by its graph."""
    found = set()
    for name, part in parts(algo).items():
        parameters = [p for p in part.parameters() if p.requires_grad]
        if not parameters or not loss.requires_grad:
            continue
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True, retain_graph=True)
        if any(gradient is not None and gradient.any() for gradient in gradients):
            found.add(name)
    return found


def batch_of(algo: PEARL, sampler: SerialSampler) -> Any:
    for itr in range(3):
        append_trials(algo.replay, sampler.obtain_samples(itr)[0])
    return algo._batch(algo.replay.ready())


def test_the_encoder_learns_from_the_critics_and_the_divergence_alone():
    algo, acting, sampler = started(kl_lambda=0.1)
    batch = batch_of(algo, sampler)
    noise = torch.randn(M, 2, generator=torch.Generator().manual_seed(1))
    loss, (_info, latent) = algo._critic_loss(batch, noise)
    assert reached(loss, algo) == {"critic", "encoder"}
    belief = acting.encoder(batch.context)
    kl = replace(algo, kl_lambda=1.0).kl_lambda * (belief.mean**2).sum()
    assert reached(kl, algo) == {"encoder"}
    assert not latent.requires_grad
    torch.testing.assert_close(latent, sample_gaussians(belief, noise).detach())
    action_noise = torch.randn(M, N, 2, generator=torch.Generator().manual_seed(2))
    policy, (_info, target) = algo._policy_loss(batch.now, latent, action_noise)
    assert "encoder" not in reached(policy, algo)
    assert {"policy"} <= reached(policy, algo) <= {"policy", "critic"}  # which is not stepped
    assert not target.requires_grad
    value, _info = algo._value_loss(batch.now, latent, target)
    assert reached(value, algo) == {"value"}
    sampler.shutdown()


def by_hand(algo: PEARL, batch: Any, noise: Tensor, action_noise: Tensor) -> dict[str, Tensor]:
    """All losses by loops over tasks and transitions."""
    acting, nothing = algo.agent, None
    belief = acting.encoder(batch.context)
    z = belief.mean + belief.var.sqrt() * noise
    q_error, values, policy, size = 0.0, 0.0, 0.0, 0.0
    for m in range(M):
        for n in range(N):

            def seen(observation: Tensor, m: int = m, n: int = n) -> Conditioned:
                return Conditioned(observation[m, n].float(), z[m].detach())

            def q(action: Tensor, m: int = m, n: int = n, z_: Any = None) -> Tensor:
                at = Conditioned(batch.now[m, n].float(), z[m].detach())
                return algo.critic(*AgentInputs(at, nothing, nothing, nothing), NoState(), action)

            y = batch.reward[m, n] + algo.discount * batch.not_terminated[m, n] * (
                algo.target_value(seen(batch.following))
            )
            q_error += ((q(batch.action[m, n]).squeeze() - y) ** 2).sum()
            given = AgentInputs(seen(batch.now), nothing, nothing, nothing)
            params, _ = acting.policy.model(*given, NoState())
            mean, log_std = params[:2], params[2:].clamp(-20, 2)
            x = mean + log_std.exp() * action_noise[m, n]
            log_prob = Normal(mean, log_std.exp()).log_prob(x).sum()
            log_prob -= torch.log1p(-(torch.tanh(x) ** 2)).sum()
            best = q(torch.tanh(x)).min()
            policy += log_prob - best
            size += (mean**2).sum() + (log_std**2).sum()
            values += (algo.value(seen(batch.now)) - (best - log_prob)) ** 2
    mean, var = belief
    kl = 0.5 * (mean**2 + var - 1 - var.log()).sum()
    return {
        "critic": q_error / (M * N) + algo.kl_lambda * kl,
        "policy": policy / (M * N) + algo.policy_regularization * size / (2 * M * N),
        "value": values / (M * N),
    }


def test_losses_are_those_by_hand():
    algo, _acting, sampler = started(kl_lambda=0.3, policy_regularization=0.1, discount=0.9)
    run(algo, sampler, 3)  # targets differ from values
    batch = algo._batch(algo.replay.ready())
    batch = batch._replace(not_terminated=(torch.arange(M * N) % 3 > 0).float().view(M, N))
    rng = torch.Generator().manual_seed(1)
    noise, action_noise = torch.randn(M, 2, generator=rng), torch.randn(M, N, 2, generator=rng)
    with torch.no_grad():
        expected = by_hand(algo, batch, noise, action_noise)
        critic, (_info, latent) = algo._critic_loss(batch, noise)
        policy, (_info, target) = algo._policy_loss(batch.now, latent, action_noise)
        value, _loss = algo._value_loss(batch.now, latent, target)
    found = {"critic": critic, "policy": policy, "value": value}
    for name, loss in found.items():
        torch.testing.assert_close(loss, expected[name], rtol=1e-4, atol=1e-4, msg=name)
    sampler.shutdown()


def test_rewards_are_scaled_for_learning_and_not_for_the_context():
    algo, _acting, sampler = started(reward_scale=7.0)
    plain = replace(algo, reward_scale=1.0)
    for one in (algo, plain):
        one.initialize(algo.agent, n_itr=1, batch_spec=sampler.batch_spec, seed=0)
    samples = copied(sampler.obtain_samples(0)[0])
    append_trials(algo.replay, samples)
    batch = algo._batch(np.array([0]))
    algo._rng, algo.reward_scale = np.random.default_rng(0), 1.0
    unscaled = algo._batch(np.array([0]))
    algo._rng, algo.reward_scale = np.random.default_rng(0), 7.0
    scaled = algo._batch(np.array([0]))
    torch.testing.assert_close(scaled.reward, 7.0 * unscaled.reward)
    assert torch.equal(scaled.context.reward, unscaled.context.reward)
    assert batch.reward.shape == (M, N)
    sampler.shutdown()


class Release:
    """Algorithm 1 of the paper as its release goes through it, on the same environment: for every
    task the first trajectories, then task by task: empty its context, and whole trajectories until
    there are as many steps as each phase asks for; those of the last are not context.
    """

    def __init__(self, n_tasks: int) -> None:
        self.env = Scripted()
        self.replay: list[list[Any]] = [[] for _ in range(n_tasks)]
        self.context: list[list[Any]] = [[] for _ in range(n_tasks)]

    def collect(self, task: int, steps: int, *, in_context: bool) -> None:
        got = 0
        while got < steps:
            observation, ended = self.env.reset()[0], False
            while not ended:
                step = self.env.step(np.zeros(2))
                ended = step[2] or step[3]
                row = [*observation, *step[0], step[1], float(step[2])]
                self.replay[task].append(row)
                self.context[task] += [row] if in_context else []
                observation, got = step[0], got + 1

    def trial(self, task: int, *phases: int) -> None:
        self.env.set_task({"number": task})
        self.context[task] = []
        for n, steps in enumerate(phases):
            self.collect(task, steps, in_context=n < 2)


def rows_of(replay: TaskReplay, task: int) -> tuple[Any, Any]:
    """All transitions held, and those of the context, in order, as Release has them."""
    held = replay._rows
    columns = (
        held.observation[task],
        held.next_observation[task],
        held.reward[task][:, None],
        held.terminated[task][:, None],
    )
    rows = np.concatenate(columns, -1)
    context = replay._context[task, : replay.n_context(task)]
    return rows[: replay.n_stored(task)], rows[context]


@pytest.mark.parametrize("T", [7, 28, 196])
def test_collection_is_the_releases_step_by_step(T: int):
    names = ("initial_steps", "prior_steps", "posterior_steps", "extra_steps")
    env = trials("trial_fakes:Scripted", **dict(zip(names, (4, 5, 3, 2), strict=True)))
    algo, _acting, sampler = started(env, T=T, B=1)
    tasks: list[int] = []
    for itr in range(196 // T):
        samples: Any = copied(sampler.obtain_samples(itr)[0])
        tasks += samples.observation.task[samples.reset].tolist()
        append_trials(algo.replay, samples)
    sampler.shutdown()
    assert tasks[:4] == [0, 1, 2, 3]
    assert len(tasks) == 4 + 10  # of 4, and of 8 + 5 + 5 steps
    assert len(set(tasks[4:])) > 2
    release = Release(4)
    for n, task in enumerate(tasks):
        release.trial(task, *((4,) if n < 4 else (5, 3, 2)))
    for task in range(4):
        held, context = rows_of(algo.replay, task)
        np.testing.assert_allclose(held, release.replay[task], rtol=1e-6)
        np.testing.assert_allclose(context, release.context[task], rtol=1e-6)


def test_nothing_is_learned_before_every_task_has_begun():
    algo, acting, sampler = started(T=40, B=1, min_steps_learn=80)
    before = deepcopy(acting.state_dict())
    assert algo.optimize_agent(0, sampler.obtain_samples(0)[0]) == {}
    assert str(acting.state_dict()) == str(before)
    info = algo.optimize_agent(1, sampler.obtain_samples(1)[0])
    assert {len(values) for values in info.values()} == {2}
    assert algo.replay.ready().tolist() == [0, 1, 2, 3]
    assert str(acting.state_dict()) != str(before)
    sampler.shutdown()


def test_target_values_follow_slowly():
    algo, _acting, sampler = started(target_update_tau=0.25, train_steps=1)
    before = deepcopy(algo.target_value.state_dict())
    run(algo, sampler, 1)
    for name, slow in algo.target_value.state_dict().items():
        expected = before[name] + 0.25 * (algo.value.state_dict()[name] - before[name])
        torch.testing.assert_close(slow, expected)
    sampler.shutdown()


@pytest.mark.parametrize("compile", [False, "trace"])
def test_it_goes_on_from_its_state(compile: Any):
    one = started(compile=compile)
    run(one[0], one[2], 3)
    other = started(compile=compile)
    for a, b in zip(one, other, strict=True):
        b.load_state_dict(deepcopy(a.state_dict()))  # type: ignore[attr-defined]
    for algo, _acting, sampler in (one, other):
        run(algo, sampler, 2, start=3)
        sampler.shutdown()
    for a, b in zip(one[1].encoder.parameters(), other[1].encoder.parameters(), strict=True):
        assert torch.equal(a, b)
    for a, b in zip(one[0].critic.parameters(), other[0].critic.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("encoder", [{}, {"deterministic": True}], ids=["belief", "certain"])
@pytest.mark.parametrize("context_sampling", ["rows", "windows"])
def test_learns_which_door_from_what_came_of_the_first(encoder: Any, context_sampling: Any):
    env = trials("trial_fakes:OneStep", n_train=2, initial_steps=20, prior_steps=20, extra_steps=0)
    algo, acting, sampler = started(
        env,
        T=20,
        B=2,
        encoder=encoder,
        meta_batch=4,
        batch_size=16,
        context_size=8,
        context_sampling=context_sampling,
        train_steps=20,
        learning_rate=5e-3,
        kl_lambda=0.02,
        reward_scale=20.0,
        compile="trace",
    )
    run(algo, sampler, 14)
    sampler.shutdown()
    judged = EnvConfig(
        id="rlpyt.envs.adaptation:evaluation_trials",
        kwargs={
            **{"env": "trial_fakes:OneStep", "n_train": 2, "n_test": 2, "overlap": True},
            **{"trajectories": 6, "exploration_trajectories": 4},
        },
        info_keys=TRIAL_INFO_KEYS,
    )
    evaluator = Evaluator(episodes=40, n_envs=10, greedy=False, env=judged)
    tester = replace(sampler, TrajInfoCls=TrialTrajInfo)
    tester.initialize(acting, seed=1)
    evaluator.initialize(acting, tester, seed=1, discount=1.0)
    trajs: Any = evaluator.evaluate(0)
    evaluator.shutdown()
    tester.shutdown()
    first = np.mean([traj.FirstEpisodeReturn for traj in trajs])
    last = np.mean([traj.LastEpisodeReturn for traj in trajs])
    assert last > 0.8
    assert first < 0.5  # nothing tells the first


def test_what_cannot_be_is_refused():
    spec, spaces = BatchSpec(4, 2), peek_spaces(POINTS)
    acting = agent()
    acting.initialize(spaces, seed=0, device=CPU)
    with pytest.raises(RlpytError, match=r"algo\.meta_batch=0"):
        algorithm(meta_batch=0).initialize(acting, n_itr=1, batch_spec=spec, seed=0)
    with pytest.raises(RlpytError, match="PEARL does not learn agent 'QpgAgent'"):
        algorithm().initialize(QpgAgent(), n_itr=1, batch_spec=spec, seed=0)
    assert algorithm().forecast(acting, spec) == 4 * 500 * (4 * 4 + 2 * 4 + 3 * 4 + 8)
