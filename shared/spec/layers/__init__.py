"""The layers, a file a family. Names, spellings and layouts are Keras's: channels are the last axis."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from shared.spec.fields import Word
from shared.spec.layers.attention import MultiHeadAttention
from shared.spec.layers.basic import ActivationLayer, Dense, Dropout, Flatten, Permute, Reshape
from shared.spec.layers.convolution import Conv1D, Conv2D, Conv2DTranspose, DepthwiseConv2D
from shared.spec.layers.merging import Add, Concatenate
from shared.spec.layers.normalization import BatchNorm, LayerNorm
from shared.spec.layers.pooling import (
    AveragePooling1D,
    AveragePooling2D,
    GlobalAveragePooling,
    GlobalMaxPooling,
    MaxPooling1D,
    MaxPooling2D,
)
from shared.spec.layers.recurrent import Bidirectional, Embedding, Gru, Lstm, SimpleRnn

Layer = Annotated[
    Dense
    | Flatten
    | Reshape
    | Permute
    | Dropout
    | ActivationLayer
    | Conv1D
    | Conv2D
    | DepthwiseConv2D
    | Conv2DTranspose
    | MaxPooling1D
    | MaxPooling2D
    | AveragePooling1D
    | AveragePooling2D
    | GlobalAveragePooling
    | GlobalMaxPooling
    | LayerNorm
    | BatchNorm
    | Embedding
    | SimpleRnn
    | Lstm
    | Gru
    | Bidirectional
    | MultiHeadAttention
    | Add
    | Concatenate,
    Field(discriminator="type"),
    Word,
]
