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
    gaussian_product,
    sample_gaussians,
    standard_normal_kl,
)
from rlpyt.ops.q_learning import (
    at_action,
    double_q_learning_target,
    greedy_action,
    huber,
    q_learning_target,
    sequence_priority,
    td_error,
)
from rlpyt.ops.quantile import quantile_huber_loss, quantile_midpoints, quantile_target
from rlpyt.ops.returns import (
    discount_return,
    generalized_advantage_estimation,
    next_values,
    reverse_linear_recurrence,
)
from rlpyt.ops.value_scaling import (
    inverse_signed_hyperbolic,
    signed_hyperbolic,
    transformed_n_step_return,
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
    "discount_return",
    "double_q_learning_target",
    "gaussian_product",
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
    "q_learning_target",
    "quantile_huber_loss",
    "quantile_midpoints",
    "quantile_target",
    "retrace_return",
    "reverse_linear_recurrence",
    "sample_gaussians",
    "sequence_priority",
    "signed_hyperbolic",
    "standard_normal_kl",
    "td_error",
    "transformed_n_step_return",
    "transformed_retrace_return",
    "transformed_target",
    "valid_mean",
    "vtrace",
]
