import pytest
import torch
from gymnasium import spaces
from torch import nn

from rlpyt.data import RnnState
from rlpyt.models.dqn import DqnModel
from rlpyt.models.rnn import Recurrent
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.seed import seeded_init

T, B, F, H = 12, 3, 4, 5
KINDS = ["lstm", "gru"]


def random_state(recurrent):
    zero = recurrent.initial_state(B)
    return RnnState(*(None if part is None else torch.randn_like(part) for part in zero))


def some_resets():
    reset = torch.zeros(T, B, dtype=torch.bool)
    reset[0, 1] = reset[4, 0] = reset[4, 2] = reset[5, 0] = reset[T - 1, 2] = True
    return reset


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layers", [1, 2])
def test_sequence_with_resets_equals_stepping(kind, layers):
    recurrent = Recurrent(kind, F, H, layers)
    features, reset, state = torch.randn(T, B, F), some_resets(), random_state(recurrent)
    output, last = recurrent(features, reset, state)
    stepped = []
    for t in range(T):
        out, state = recurrent(features[t], reset[t], state)
        stepped.append(out)
    torch.testing.assert_close(output, torch.stack(stepped), rtol=0, atol=1e-6)
    for name, part in last.items():
        if part is None:
            assert state.cell is None
        else:
            assert part.shape == (B, layers, H)
            torch.testing.assert_close(part, getattr(state, name), rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_reset_forgets_everything_before_it_and_only_there(kind):
    recurrent = Recurrent(kind, F, H)
    reset = torch.zeros(T, B, dtype=torch.bool)
    reset[6, 1] = True
    features = torch.randn(T, B, F)
    changed = features.clone()
    changed[:6] += 1
    first, _ = recurrent(features, reset, random_state(recurrent))
    second, _ = recurrent(changed, reset, random_state(recurrent))
    torch.testing.assert_close(first[6:, 1], second[6:, 1], rtol=0, atol=1e-6)
    assert (first[6:, [0, 2]] != second[6:, [0, 2]]).all()


@pytest.mark.parametrize("kind", KINDS)
def test_without_resets_it_is_torch_s_own_sequence(kind):
    recurrent = Recurrent(kind, F, H)
    features = torch.randn(T, B, F)
    expected, _ = recurrent.rnn(features)
    output, _ = recurrent(features, torch.zeros(T, B, dtype=torch.bool), recurrent.initial_state(B))
    torch.testing.assert_close(output, expected, rtol=0, atol=1e-6)


def test_a_poisoned_state_does_not_pass_a_reset():
    recurrent = Recurrent("lstm", F, H)
    poison = torch.full((B, 1, H), float("nan"))
    everywhere = torch.ones(B, dtype=torch.bool)
    output, state = recurrent(torch.randn(B, F), everywhere, RnnState(poison, poison))
    assert output.isfinite().all()
    assert state.cell.isfinite().all()


@pytest.mark.parametrize("kind", KINDS)
def test_gradient_flows_through_time_but_not_through_a_reset(kind):
    recurrent = Recurrent(kind, F, H)
    features = torch.randn(T, B, F, requires_grad=True)
    output, _ = recurrent(features, some_resets(), recurrent.initial_state(B))
    output[4].sum().backward()
    assert (features.grad[:4, 0] == 0).all()
    assert (features.grad[:4, 1] != 0).any()
    assert all(p.grad is not None for p in recurrent.parameters())


def test_initial_state_and_init():
    lstm, gru = Recurrent("lstm", F, H, 2), Recurrent("gru", F, H)
    assert lstm.initial_state(7).cell.shape == (7, 2, H)
    assert gru.initial_state(7).cell is None
    assert isinstance(gru.rnn, nn.GRU)
    weight = lstm.rnn.weight_hh_l0
    torch.testing.assert_close(weight.T @ weight, torch.eye(H), rtol=0, atol=1e-5)
    assert (lstm.rnn.bias_ih_l0 == 0).all()


def test_forget_bias_is_added_to_the_forget_gates_and_keeps_the_cell():
    plain, open_ = Recurrent("lstm", 3, 4, num_layers=2), Recurrent("lstm", 3, 4, num_layers=2)
    open_.load_state_dict(plain.state_dict())
    open_.add_forget_bias(2.0)
    for name, value in plain.state_dict().items():
        expected = value.clone()
        if "bias_ih" in name:
            expected[4:8] += 2.0  # torch's order: input, forget, cell, output
        assert torch.equal(open_.state_dict()[name], expected), name

    def kept(rnn: Recurrent) -> float:
        state = rnn.initial_state(1)
        state = state._replace(cell=torch.full_like(state.cell, 5.0))
        cell = rnn(torch.zeros(1, 3), torch.zeros(1, dtype=torch.bool), state)[1].cell
        return cell.mean().item() / 5.0

    assert kept(plain) == pytest.approx(0.5, abs=0.1)
    assert kept(open_) == pytest.approx(0.88, abs=0.1)  # the sigmoid of 2


def test_forget_bias_is_an_lstms():
    with pytest.raises(RlpytError, match=r"forget_bias=1.0 with a gru.*recurrent=\"lstm\""):
        Recurrent("gru", 3, 4).add_forget_bias(1.0)


@pytest.mark.parametrize("init", ["default", "orthogonal"])
def test_value_networks_start_with_it(init):
    space, actions = spaces.Box(-1.0, 1.0, (3,)), spaces.Discrete(2)
    made = []
    for bias in (0.0, 1.5):
        with seeded_init(0):
            made.append(
                DqnModel.from_spaces(
                    space, actions, recurrent="lstm", rnn_size=4, forget_bias=bias, init=init
                )
            )
    plain, open_ = (model.state_dict() for model in made)
    [name] = [name for name in plain if name.endswith("bias_ih_l0")]
    assert (open_[name] - plain[name])[4:8].tolist() == pytest.approx([1.5] * 4)
    others = [key for key in plain if key != name]
    assert all(torch.equal(plain[key], open_[key]) for key in others)
