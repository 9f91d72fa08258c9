"""The mathematics: pure functions of tensors."""

from rlpyt.ops.arms import (
    agent57_discounts,
    combined_value,
    intrinsic_weights,
    ngu_discounts,
)
from rlpyt.ops.categorical import (
    categorical_cross_entropy,
    categorical_kl,
    categorical_mean,
    categorical_support,
    categorical_target,
    project_categorical,
)
from rlpyt.ops.losses import normalize, valid_mean
from rlpyt.ops.off_policy import (
    VTrace,
    n_step_return,
    off_policy_return,
    q_lambda_return,
    retrace_return,
    vtrace,
)
from rlpyt.ops.posterior import (
    Gaussians,
    sample_gaussians,
    standard_normal_kl,
)
from rlpyt.ops.q_learning import (
    at_action,
    greedy_action,
    huber,
    sequence_priority,
)
from rlpyt.ops.quantile import quantile_huber_loss, quantile_midpoints, quantile_target
from rlpyt.ops.returns import (
    generalized_advantage_estimation,
    next_values,
    reverse_linear_recurrence,
)
from rlpyt.ops.value_scaling import (
    inverse_signed_hyperbolic,
    signed_hyperbolic,
    transformed_retrace_return,
    transformed_target,
)

__all__ = [
    "Gaussians",
    "VTrace",
    "agent57_discounts",
    "at_action",
    "categorical_cross_entropy",
    "categorical_kl",
    "categorical_mean",
    "categorical_support",
    "categorical_target",
    "combined_value",
    "generalized_advantage_estimation",
    "greedy_action",
    "huber",
    "intrinsic_weights",
    "inverse_signed_hyperbolic",
    "n_step_return",
    "next_values",
    "ngu_discounts",
    "normalize",
    "off_policy_return",
    "project_categorical",
    "q_lambda_return",
    "quantile_huber_loss",
    "quantile_midpoints",
    "quantile_target",
    "retrace_return",
    "reverse_linear_recurrence",
    "sample_gaussians",
    "sequence_priority",
    "signed_hyperbolic",
    "standard_normal_kl",
    "transformed_retrace_return",
    "transformed_target",
    "valid_mean",
    "vtrace",
]
