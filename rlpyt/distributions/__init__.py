"""Action distributions: stateless functions of a model's parameters and of noise drawn ahead.

Each module also declares the ``DistInfo`` its distribution makes.
"""

from rlpyt.distributions.base import Distribution
from rlpyt.distributions.bernoulli import Bernoulli
from rlpyt.distributions.categorical import Categorical
from rlpyt.distributions.composite import Composite
from rlpyt.distributions.factory import distribution_for
from rlpyt.distributions.gaussian import Gaussian
from rlpyt.distributions.multi_categorical import MultiCategorical
from rlpyt.distributions.squashed_gaussian import SquashedGaussian

__all__ = [
    "Bernoulli",
    "Categorical",
    "Composite",
    "Distribution",
    "Gaussian",
    "MultiCategorical",
    "SquashedGaussian",
    "distribution_for",
]
