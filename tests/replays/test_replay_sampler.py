"""A replay behind a sampler: an LSTM unrolled over what is sampled gives what it gave in acting."""

import numpy as np
import pytest
import torch

from rlpyt.agents.pg import PgAgent
from rlpyt.data import NoState
from rlpyt.envs.build import EnvConfig
from rlpyt.replays import Prioritized, ReplayBuffer
from rlpyt.samplers import SerialSampler
from rlpyt.utils.buffer import buffer_map

T, B = 8, 3


@pytest.mark.parametrize("mid_batch_reset", [True, False])
@pytest.mark.parametrize("burn_in", [0, 4])
def test_a_recurrent_net_sees_in_sequences_what_it_saw_in_acting(mid_batch_reset, burn_in):
    sampler = SerialSampler(
        env=EnvConfig(id="CartPole-v1", time_limit=17),
        batch_T=T,
        batch_B=B,
        mid_batch_reset=mid_batch_reset,
    )
    agent = PgAgent(model_kwargs={"recurrent": "lstm", "rnn_size": 8, "hidden_sizes": [8]})
    spaces = sampler.env_spaces()
    agent.initialize(spaces, seed=0, device=torch.device("cpu"))
    sampler.initialize(agent, seed=0)
    replay = ReplayBuffer(
        size=60 * B,
        n_step_return=2,
        sequence_length=6,
        burn_in=burn_in,
        rnn_state_interval=4,
        prioritized=Prioritized(),
    )
    state = buffer_map(lambda leaf: leaf[0], agent.initial_state(1))
    rng = np.random.default_rng(0)
    replay.initialize(spaces, B=B, T=T, discount=0.9, rng=rng, prev_rnn_state=state)
    value_of = {}  # by observation, which none is like another
    checked = truncated = 0
    for itr in range(30):
        samples, _trajs = sampler.obtain_samples(itr)
        valid = torch.ones(T, B, dtype=torch.bool) if samples.valid is None else samples.valid
        acted = zip(samples.observation[valid], samples.agent_info.value[valid], strict=True)
        value_of |= {observation.numpy().tobytes(): float(value) for observation, value in acted}
        replay.append(samples)
        if replay.n_sampleable == 0:
            continue
        batch = replay.sample_sequences(8)
        with torch.no_grad():
            value = agent.value(batch.agent_inputs, batch.init_rnn_state)
        learnt = value[burn_in : burn_in + 6]
        for t, i in batch.valid.nonzero().tolist():
            key = batch.observation[burn_in + t, i].numpy().tobytes()
            assert float(learnt[t, i]) == pytest.approx(value_of[key], abs=1e-5)
            checked += 1
            discount, step = float(batch.next_discount[t, i]), int(batch.next_step[t, i])
            following = batch.observation[step, i].numpy().tobytes()
            if discount and following in value_of:
                assert float(value[step, i]) == pytest.approx(value_of[following], abs=1e-5)
            truncated += bool(discount) and following not in value_of
    sampler.shutdown()
    assert checked > 500
    assert truncated > 10  # bootstraps from a final observation, which was never acted on


def test_a_feed_forward_agent_and_a_vector_environment():
    sampler = SerialSampler(env=EnvConfig(id="CartPole-v1", time_limit=9), batch_T=T, batch_B=B)
    agent, spaces = PgAgent(), sampler.env_spaces()
    agent.initialize(spaces, seed=0, device=torch.device("cpu"))
    sampler.initialize(agent, seed=0)
    replay = ReplayBuffer(size=500)
    rng = np.random.default_rng(0)
    replay.initialize(spaces, B=B, T=T, discount=0.9, rng=rng, prev_rnn_state=NoState())
    for itr in range(20):
        replay.append(sampler.obtain_samples(itr)[0])
    batch = replay.sample(256)
    # x' = x + 0.02 v, in the environment's own words, also into the final observation
    x, v = batch.observation[:, 0], batch.observation[:, 1]
    counts = batch.next_discount > 0
    torch.testing.assert_close(batch.next_observation[counts, 0], (x + 0.02 * v)[counts])
    assert (batch.return_ == 1.0).all()
    sampler.shutdown()
