"""One update of PPO and of A2C is stable-baselines3's, from the same weights and the same rollout.

Our sampler collects; its samples fill a RolloutBuffer by the rule that SB3's collector follows (at
a time limit the reward takes γ V of the final observation); SB3 computes its own advantages and
runs its own ``train``. Gradients and parameters must agree.
"""

import gymnasium
import numpy as np
import pytest
import torch
from toy_envs import copied, gradients, make, parameters, walk

from rlpyt.algos.pg.a2c import A2C
from rlpyt.algos.pg.batch import loss_inputs
from rlpyt.algos.pg.ppo import PPO
from rlpyt.envs.build import EnvConfig, build_env
from rlpyt.utils.seed import Stream, generator

sb3 = pytest.importorskip(
    "stable_baselines3", reason='the oracle is not here: pip install "rlpyt[oracles]"'
)
configure = sb3.common.logger.configure

T, B = 32, 4
DISCOUNT = 0.98
ENVS = {
    "CartPole": EnvConfig(id="CartPole-v1", time_limit=16),
    "Pendulum": EnvConfig(id="Pendulum-v1", time_limit=10),
    "box": walk("box"),
    "multi_discrete": walk("multi_discrete"),
    "multi_binary": walk("multi_binary"),
}
LAYERS = (
    ("hidden.0", "mlp_extractor.{}_net.0"),
    ("hidden.1", "mlp_extractor.{}_net.2"),
    ("output", "{}"),
)


def sb3_names(agent):
    """Our parameter's name to SB3's."""
    names = {"policy.log_std": "log_std"}
    has_log_std = "policy.log_std" in parameters(agent)
    policy = "policy.network" if has_log_std else "policy"
    for ours, theirs in LAYERS:
        for kind in ("weight", "bias"):
            last = ours == "output"
            policy_layer = theirs.format("action_net" if last else "policy")
            value_layer = theirs.format("value_net" if last else "value")
            names[f"{policy}.{ours}.{kind}"] = f"{policy_layer}.{kind}"
            names[f"value_head.{ours}.{kind}"] = f"{value_layer}.{kind}"
    return {name: names[name] for name in parameters(agent)}


def sb3_model(cls, env, agent, gae_lambda, **kwargs):
    """An SB3 algorithm whose MlpPolicy (64, 64, tanh) has the agent's weights."""
    vector = sb3.common.vec_env.DummyVecEnv([lambda: build_env(env)] * B)
    model = cls(
        "MlpPolicy",
        vector,
        n_steps=T,
        gamma=DISCOUNT,
        gae_lambda=gae_lambda,
        device="cpu",
        policy_kwargs={"optimizer_kwargs": {"eps": 1e-5}},
        **kwargs,
    )
    model.set_logger(configure(None, []))
    weights = model.policy.state_dict()
    names = sb3_names(agent)
    assert sorted(weights) == sorted(names.values())
    model.policy.load_state_dict({names[k]: v for k, v in parameters(agent).items()})
    return model


def fill(model, samples, following):
    """Put our samples into SB3's rollout buffer; ``following`` is the observation after the last.

    Everything a network computes, SB3's policy computes.
    """
    policy, buffer = model.policy, model.rollout_buffer
    discrete = isinstance(model.action_space, gymnasium.spaces.Discrete)
    action = samples.action if discrete else samples.action.float()
    buffer.reset()
    with torch.no_grad():
        for t in range(T):
            value, log_prob, _entropy = policy.evaluate_actions(samples.observation[t], action[t])
            limit = samples.truncated[t] & ~samples.terminated[t]
            final = policy.predict_values(samples.final_observation[t]).flatten()
            reward = samples.reward[t] + DISCOUNT * torch.where(limit, final, 0.0)
            buffer.add(
                samples.observation[t].numpy(),
                action[t].numpy(),
                reward.numpy(),
                samples.reset[t].numpy(),
                value,
                log_prob,
            )
        last_value = policy.predict_values(following)
    buffer.compute_returns_and_advantage(last_value, samples.done[-1].numpy())


def feed_permutations(monkeypatch, epochs, seed):
    """Let SB3 shuffle as we do: our flat index is t B + b, its is b T + t."""
    rng = generator(seed, Stream.ALGO)
    orders = [rng.permutation(T * B) for _ in range(epochs)]
    theirs = iter([order % B * T + order // B for order in orders])
    monkeypatch.setattr(np.random, "permutation", lambda n: next(theirs))


def rollout(env, algo):
    """Agent, samples, and the observation after them, of a rollout in which episodes ended."""
    agent, sampler = make(algo, env, T=T, B=B)
    sampler.obtain_samples(0)
    samples, _trajs = sampler.obtain_samples(1)
    samples = copied(samples)
    following = sampler.obtain_samples(2)[0].observation[0].clone()
    sampler.shutdown()
    assert samples.truncated[:-1].any()
    return agent, samples, following


def assert_equal_updates(agent, model, *, clipped):
    """Equal parameters; equal gradients where none was clipped (SB3 clips in place)."""
    names = sb3_names(agent)
    theirs = dict(model.policy.named_parameters())
    moved = parameters(agent)
    for ours, name in names.items():
        expected = theirs[name].detach()
        torch.testing.assert_close(moved[ours], expected, rtol=1e-5, atol=1e-7, msg=named(ours))
    if clipped:
        return
    found = gradients(agent)
    largest = max(gradient.abs().max().item() for gradient in found.values())
    for ours, name in names.items():
        expected = theirs[name].grad
        torch.testing.assert_close(
            found[ours], expected, rtol=1e-5, atol=1e-6 * largest, msg=named(ours)
        )


def named(parameter):
    return lambda message: f"{parameter}: {message}"


@pytest.mark.parametrize("env", ENVS)
def test_advantages_and_returns_are_those_of_sb3(env):
    agent, samples, following = rollout(ENVS[env], A2C(discount=DISCOUNT))
    model = sb3_model(sb3.A2C, ENVS[env], agent, 0.9)
    fill(model, samples, following)
    batch, _state = loss_inputs(agent, samples, samples.reward, DISCOUNT, 0.9)
    buffer = model.rollout_buffer
    for ours, theirs in (
        (batch.advantage, buffer.advantages),
        (batch.return_, buffer.returns),
        (batch.old_value, buffer.values),
        (batch.old_log_prob, buffer.log_probs),
    ):
        np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("clip", "normalize"), [(0.5, False), (1e9, False), (1e9, True)])
@pytest.mark.parametrize("env", ENVS)
def test_one_a2c_update_is_that_of_sb3(env, clip, normalize):
    algo = A2C(
        discount=DISCOUNT,
        gae_lambda=0.95,
        learning_rate=1e-3,
        clip_grad_norm=clip,
        normalize_advantage=normalize,
    )
    agent, samples, following = rollout(ENVS[env], algo)
    model = sb3_model(
        sb3.A2C,
        ENVS[env],
        agent,
        0.95,
        learning_rate=1e-3,
        ent_coef=0.01,
        vf_coef=0.5,
        max_grad_norm=clip,
        use_rms_prop=False,
        normalize_advantage=normalize,
    )
    fill(model, samples, following)
    model.train()
    opt_info = algo.optimize_agent(0, samples)
    assert opt_info["gradNorm"][0] > 0.5
    assert_equal_updates(agent, model, clipped=clip < 1e9)


@pytest.mark.parametrize(("epochs", "minibatches", "clip"), [(1, 1, 0.5), (1, 4, 1e9), (3, 4, 0.5)])
@pytest.mark.parametrize("env", ENVS)
def test_one_ppo_iteration_is_that_of_sb3(env, epochs, minibatches, clip, monkeypatch):
    algo = PPO(
        discount=DISCOUNT,
        epochs=epochs,
        minibatches=minibatches,
        learning_rate=1e-3,
        ratio_clip=0.1,
        clip_grad_norm=clip,
    )
    agent, samples, following = rollout(ENVS[env], algo)
    model = sb3_model(
        sb3.PPO,
        ENVS[env],
        agent,
        0.95,
        n_epochs=epochs,
        batch_size=T * B // minibatches,
        learning_rate=1e-3,
        clip_range=0.1,
        ent_coef=0.01,
        vf_coef=0.5,
        max_grad_norm=clip,
    )
    fill(model, samples, following)
    feed_permutations(monkeypatch, epochs, seed=0)
    model.train()
    opt_info = algo.optimize_agent(0, samples)
    assert len(opt_info["loss"]) == epochs * minibatches
    assert_equal_updates(agent, model, clipped=clip < 1e9)


def test_the_rollouts_hold_both_kinds_of_end():
    for env in ("CartPole", "box", "multi_discrete", "multi_binary"):
        _agent, samples, _following = rollout(ENVS[env], A2C())
        assert samples.terminated.any()
        assert (samples.truncated & ~samples.terminated).any()
