"""The layers, a file a family. Names, spellings and layouts are Keras's: channels are the last axis.

What all have is in `base`, what slides over places in `windows`; the families are basic, convolution,
gates, merging, normalization, pooling, positions, recurrent and space.
"""

from __future__ import annotations

from typing import Annotated

from likewise.shared.job.kinds import Kinds
from likewise.shared.job.layers.basic import (
    ActivationLayer,
    Dense,
    Dropout,
    Flatten,
    Input,
    Permute,
    RepeatVector,
    Reshape,
)
from likewise.shared.job.layers.convolution import (
    Convolution,
    DepthwiseConvolution,
    LocallyConnected,
    SeparableConvolution,
    TransposedConvolution,
)
from likewise.shared.job.layers.gates import Glu, Prelu, Swiglu
from likewise.shared.job.layers.merging import Concatenate, Dot, Merge, MultiHeadAttention, Stack
from likewise.shared.job.layers.normalization import (
    BatchNorm,
    GroupNorm,
    InstanceNorm,
    LayerNorm,
    RmsNorm,
    UnitNormalization,
)
from likewise.shared.job.layers.pooling import AveragePooling, GlobalPooling, MaxPooling
from likewise.shared.job.layers.positions import PositionEmbedding, SinusoidalPosition
from likewise.shared.job.layers.recurrent import Bidirectional, Embedding, Gru, Lstm, Masking, SimpleRnn
from likewise.shared.job.layers.space import Cropping, Upsampling, ZeroPadding

Layer = Annotated[
    Input
    | Dense
    | Flatten
    | Reshape
    | Permute
    | RepeatVector
    | Dropout
    | ActivationLayer
    | Convolution
    | DepthwiseConvolution
    | SeparableConvolution
    | LocallyConnected
    | TransposedConvolution
    | MaxPooling
    | AveragePooling
    | GlobalPooling
    | LayerNorm
    | BatchNorm
    | GroupNorm
    | InstanceNorm
    | RmsNorm
    | UnitNormalization
    | Prelu
    | Glu
    | Swiglu
    | Embedding
    | Masking
    | SinusoidalPosition
    | PositionEmbedding
    | SimpleRnn
    | Lstm
    | Gru
    | Bidirectional
    | MultiHeadAttention
    | Merge
    | Concatenate
    | Stack
    | Dot
    | ZeroPadding
    | Cropping
    | Upsampling,
    Kinds(),
]
