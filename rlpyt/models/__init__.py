"""Networks: trunks, encoders for any space, and the models agents step and algorithms train."""

from rlpyt.models.base import Model, PgOutputs
from rlpyt.models.conv2d import Conv2d, image_layout, is_image
from rlpyt.models.encoder import Encoder, ImageTrunk, encoder_for
from rlpyt.models.mlp import Init, Mlp, Nonlinearity
from rlpyt.models.normalize import ObservationNormalizer, RunningMeanStd
from rlpyt.models.pg import PgModel
from rlpyt.models.resnet import ImpalaResNet
from rlpyt.models.rnn import Recurrent, RnnKind

__all__ = [
    "Conv2d",
    "Encoder",
    "ImageTrunk",
    "ImpalaResNet",
    "Init",
    "Mlp",
    "Model",
    "Nonlinearity",
    "ObservationNormalizer",
    "PgModel",
    "PgOutputs",
    "Recurrent",
    "RnnKind",
    "RunningMeanStd",
    "encoder_for",
    "image_layout",
    "is_image",
]
