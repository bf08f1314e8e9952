"""What the frameworks have and a job file does not, from layers to optimizers, and what to write instead."""

from __future__ import annotations

_LIKEWISE_PORT = "`likewise port` compares two programs that have it"
_OWN_NOISE = (
    "its noise is the framework's own, so that no two frameworks train alike; the masks of {type: dropout} "
    "are drawn once for all sides"
)
_BY_NUMPY = "it prepares data, which is done once for all sides: write its result into the data"
_LAYERS = {
    # Layers that others make up
    "timedistributed": "write the layer by itself: dense takes the last axis of every step",
    "unflatten": "write {type: reshape, target_shape: […]}",
    "identity": "leave it out, or write {type: activation, activation: linear}",
    "activityregularization": "write activity_regularizer: {type: l1_l2, …} in the layer before it",
    "pixelshuffle": "write reshape, permute and reshape, or conv2d_transpose with strides",
    "softmax2d": "write {type: activation, activation: softmax}: channels are the last axis here",
    "einsumdense": "write dense for the last axis, with permute and reshape around it",
    "bilinear": f"write dense and multiply where they say the same; else {_LIKEWISE_PORT}",
    "attention": "write {type: multi_head_attention, num_heads: 1}, or dot, activation: softmax and dot",
    "additiveattention": "write dense of both, add, tanh, a dense of 1 unit, a softmax over axis 1 and dot",
    "transformerencoderlayer": "write multi_head_attention, add, layer_norm, two dense, add, layer_norm",
    "spatialdropout1d": _OWN_NOISE,
    "spatialdropout2d": _OWN_NOISE,
    "dropout2d": _OWN_NOISE,
    "gaussiannoise": _OWN_NOISE,
    "gaussiandropout": _OWN_NOISE,
    "alphadropout": _OWN_NOISE,
    # Functions, which are activations here, and layers by other names
    "adaptiveavgpool1d": "write {type: global_average_pooling} for one output, or average_pooling1d",
    "adaptiveavgpool2d": "write {type: global_average_pooling} for one output, or average_pooling2d",
    "adaptiveaveragepooling2d": "write {type: global_average_pooling} for one output, or average_pooling2d",
    "adaptivemaxpool2d": "write {type: global_max_pooling} for one output, or max_pooling2d",
    "upsample": "write {type: upsampling2d, size: …, interpolation: …}",
    "softmax": "write {type: activation, activation: {type: softmax, axis: …}}",
    "logsoftmax": "write {type: activation, activation: {type: log_softmax, axis: …}}",
    "relu": "write {type: activation, activation: relu}, or activation: {type: clipped_relu, max_value: …}",
    "relu6": "write {type: activation, activation: relu6}",
    "leakyrelu": "write {type: activation, activation: {type: leaky_relu, negative_slope: …}}",
    "thresholdedrelu": "write {type: activation, activation: {type: clipped_relu, threshold: …}}",
    "threshold": "write {type: activation, activation: {type: threshold, threshold: …, value: …}}",
    "elu": "write {type: activation, activation: {type: elu, alpha: …}}",
    "tanh": "write {type: activation, activation: tanh}",
    "sigmoid": "write {type: activation, activation: sigmoid}",
    "gelu": "write {type: activation, activation: gelu}",
    # What there is no way to declare
    "convlstm1d": _LIKEWISE_PORT,
    "convlstm2d": _LIKEWISE_PORT,
    "grucell": "write {type: gru}, which goes through all steps",
    "lstmcell": "write {type: lstm}, which goes through all steps",
    "lambda": f"it is a program; {_LIKEWISE_PORT}",
    "spectralnormalization": _LIKEWISE_PORT,
    "localresponsenorm": _LIKEWISE_PORT,
    "reflectionpad2d": f"zero_padding2d pads with zeros; {_LIKEWISE_PORT}",
    "replicationpad2d": f"zero_padding2d pads with zeros; {_LIKEWISE_PORT}",
    "embeddingbag": "write embedding and global_average_pooling",
    "normalization": "write data.standardize: true, which takes mean and scale of the training samples",
    "rescaling": "write data.scale and data.mean",
    "resizing": _BY_NUMPY,
    "textvectorization": _BY_NUMPY,
    "stringlookup": _BY_NUMPY,
    "categoryencoding": _BY_NUMPY,
}
_ACTIVATIONS = {
    "rrelu": "it draws a slope for each element of each batch, by the framework's own generator, so that "
    "no two frameworks train alike; {type: leaky_relu, negative_slope: 0.22916666666666666}, the mean of its "
    "1/8 and 1/3, is what it is in evaluation",
}
_LOSSES = {
    "nllloss": "write categorical_crossentropy: logarithms of probabilities are logits, too, and their "
    "cross-entropy is the negative log likelihood",
    "sparsecategoricalcrossentropy": "write categorical_crossentropy, which takes class numbers as well",
    "l1loss": "write mae",
    "smoothl1loss": "write {type: huber, delta: …}, which is beta times it where delta is its beta",
    "kldivloss": "write kl_divergence, which takes the logits",
    "softmarginloss": "write binary_crossentropy, which is it on targets of 0 and 1 for -1 and 1",
    "multilabelsoftmarginloss": "write binary_crossentropy with an output for each label, which is it",
    "meansquaredlogarithmicerror": _LIKEWISE_PORT,
    "meanabsolutepercentageerror": _LIKEWISE_PORT,
    "gaussiannllloss": _LIKEWISE_PORT,
    "multilabelmarginloss": _LIKEWISE_PORT,
    "hingeembeddingloss": _LIKEWISE_PORT,
    "cosineembeddingloss": _LIKEWISE_PORT,
    "marginrankingloss": _LIKEWISE_PORT,
    "tripletmarginloss": _LIKEWISE_PORT,
    "ctc": _LIKEWISE_PORT,
    "ctcloss": _LIKEWISE_PORT,
}
_OPTIMIZERS = dict.fromkeys(
    [
        "adafactor",
        "asgd",
        "ftrl",
        "lamb",
        "lars",
        "lbfgs",
        "lion",
        "muon",
        "radam",
        "rprop",
        "sparseadam",
    ],
    _LIKEWISE_PORT,
)
_SCHEDULES = {
    "linearlr": "write {type: constant, warmup: …, warmup_start: …}, or {type: polynomial, power: 1} to go "
    "down",
    "cycliclr": _LIKEWISE_PORT,
    "onecyclelr": _LIKEWISE_PORT,
    "inversetimedecay": _LIKEWISE_PORT,
    "lambdalr": f"it is a program; {_LIKEWISE_PORT}",
}
_OF_KIND = {
    "layer": _LAYERS,
    "activation": _ACTIVATIONS,
    "loss": _LOSSES,
    "optimizer": _OPTIMIZERS,
    "schedule": _SCHEDULES,
}
_FIELDS = {
    ("relu activation", "max_value"): "{type: clipped_relu, max_value: …} has it; 6 is relu6",
    ("relu activation", "negative_slope"): "{type: leaky_relu, negative_slope: …} has it, and clipped_relu",
    ("relu activation", "threshold"): "{type: clipped_relu, threshold: …} has it",
    ("softmax activation", "dim"): "{type: softmax, axis: …} is PyTorch's dim",
    ("log_softmax activation", "dim"): "{type: log_softmax, axis: …} is PyTorch's dim",
}


def instead_of(kind: str, word: str) -> str | None:
    """Return what to write instead of a framework's name, as a clause.

    Args:
        kind: What is declared: `layer`, `activation`, `loss`, `optimizer` or `schedule`.
        word: Its `type`, such as `RepeatVector` or `repeat_vector`.
    """
    return _OF_KIND.get(kind, {}).get(word.replace("_", "").lower())


def field_instead_of(kind: str, name: str) -> str | None:
    """Return which other kind has a field that one of this kind has not, as a clause."""
    return _FIELDS.get((kind, name))
