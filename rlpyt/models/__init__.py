"""Networks: trunks, encoders for any space, and the models agents step and algorithms train."""

from rlpyt.models.armed_q import Armed, ArmedOutputs, ArmedQModel, ArmedRnnState
from rlpyt.models.base import Model, PgOutputs
from rlpyt.models.batch_renorm import BatchRenorm
from rlpyt.models.batched import BatchedLinear, BatchedMlp
from rlpyt.models.context import Context, ContextEncoder
from rlpyt.models.conv2d import Conv2d, image_layout, is_image
from rlpyt.models.convolutions import Convolutions, convolution_encoder
from rlpyt.models.critic import CriticModel
from rlpyt.models.decoupled import AuxiliaryHead, DecoupledPgModel
from rlpyt.models.dqn import DqnModel, QHead, QOutputs
from rlpyt.models.dueling import Dueling, q_head
from rlpyt.models.encoder import Encoder, ImageTrunk, encoder_for
from rlpyt.models.memory import Memory
from rlpyt.models.mlp import Init, Mlp, Nonlinearity
from rlpyt.models.noisy import NoisyLinear, NoisyMlp, has_noise, resample_noise, without_noise
from rlpyt.models.normalize import ObservationNormalizer, RunningMeanStd
from rlpyt.models.pg import PgModel
from rlpyt.models.policy import PolicyKind, PolicyModel
from rlpyt.models.quantile import CosineEmbedding
from rlpyt.models.resnet import ImpalaResNet
from rlpyt.models.rnn import Recurrence, Recurrent, RnnKind
from rlpyt.models.trunk import Encoded, Layers, Trunk, TrunkOptions, trunk_for
from rlpyt.models.value import ValueModel

__all__ = [
    "Armed",
    "ArmedOutputs",
    "ArmedQModel",
    "ArmedRnnState",
    "AuxiliaryHead",
    "BatchRenorm",
    "BatchedLinear",
    "BatchedMlp",
    "Context",
    "ContextEncoder",
    "Conv2d",
    "Convolutions",
    "CosineEmbedding",
    "CriticModel",
    "DecoupledPgModel",
    "DqnModel",
    "Dueling",
    "Encoded",
    "Encoder",
    "ImageTrunk",
    "ImpalaResNet",
    "Init",
    "Layers",
    "Memory",
    "Mlp",
    "Model",
    "NoisyLinear",
    "NoisyMlp",
    "Nonlinearity",
    "ObservationNormalizer",
    "PgModel",
    "PgOutputs",
    "PolicyKind",
    "PolicyModel",
    "QHead",
    "QOutputs",
    "Recurrence",
    "Recurrent",
    "RnnKind",
    "RunningMeanStd",
    "Trunk",
    "TrunkOptions",
    "ValueModel",
    "convolution_encoder",
    "encoder_for",
    "has_noise",
    "image_layout",
    "is_image",
    "q_head",
    "resample_noise",
    "trunk_for",
    "without_noise",
]
