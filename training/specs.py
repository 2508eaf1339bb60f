"""The architectures as pure data: the only place where a layer is described.

Every framework builds these with one `match`. What the frameworks' own defaults would change is pinned here: padding,
BatchNorm's epsilon and momentum, the initialiser, and the flatten order (channel, row, column).
"""

from dataclasses import dataclass

from data.errors import InputError

CLASSES = 7


@dataclass(frozen=True)
class Resize:
    """Bilinear resize of each channel to `side` x `side` pixels, half-pixel centres, no antialias."""

    side: int


@dataclass(frozen=True)
class Conv:
    """2-D convolution with a square kernel and explicit symmetric zero padding."""

    channels: int
    kernel: int = 3
    stride: int = 1
    padding: int = 1
    bias: bool = True


@dataclass(frozen=True)
class BatchNorm:
    """Batch normalisation; `momentum` is the share of the newest batch in the running statistics."""

    epsilon: float = 1e-5
    momentum: float = 0.1


@dataclass(frozen=True)
class ReLU:
    """max(x, 0)."""


@dataclass(frozen=True)
class LeakyReLU:
    """x where it is positive, `slope` x elsewhere."""

    slope: float


@dataclass(frozen=True)
class MaxPool:
    """Maximum over square windows, padded with minus infinity."""

    kernel: int = 2
    stride: int = 2
    padding: int = 0


@dataclass(frozen=True)
class GlobalAveragePool:
    """Mean over rows and columns; leaves a vector of channels."""


@dataclass(frozen=True)
class Flatten:
    """A vector in the order channel, row, column."""


@dataclass(frozen=True)
class Dense:
    """A fully connected layer with bias."""

    units: int


@dataclass(frozen=True)
class Dropout:
    """Zeroes a share `rate` of the values in training and scales the rest by 1 / (1 - rate)."""

    rate: float


@dataclass(frozen=True)
class Residual:
    """ResNet's basic block (He et al. 2015): two 3x3 convolutions with BatchNorm around a shortcut.

    The shortcut is a 1x1 convolution with BatchNorm where stride or channels change.
    """

    channels: int
    stride: int = 1


Layer = (
    Resize | Conv | BatchNorm | ReLU | LeakyReLU | MaxPool | GlobalAveragePool | Flatten | Dense | Dropout | Residual
)


@dataclass(frozen=True)
class FanInUniform:
    """Weights and biases uniform in +-1/sqrt(fan_in): PyTorch's default."""


@dataclass(frozen=True)
class KaimingNormal:
    """Weights normal with variance 2 / ((1 + slope^2) fan_out) (He et al. 2015), biases zero."""

    slope: float = 0.0


Initialiser = FanInUniform | KaimingNormal


@dataclass(frozen=True)
class ModelSpec:
    """An architecture: float32[batch, 1, 48, 48] pixels in [-1, 1] to float32[batch, 7] logits."""

    name: str
    layers: tuple[Layer, ...]
    conv_init: Initialiser = FanInUniform()
    dense_init: Initialiser = FanInUniform()


def _mlp(name: str, *widths: int, dropout: float = 0.0) -> ModelSpec:
    hidden: list[Layer] = []
    for width in widths:
        hidden += [Dense(width), ReLU()]
        if dropout:
            hidden.append(Dropout(dropout))
    return ModelSpec(name, (Flatten(), *hidden, Dense(CLASSES)))


def _cnn(name: str, *channels: int, repeats: int) -> ModelSpec:
    convolutions: list[Layer] = []
    for width in channels:
        convolutions += [*(Conv(width), ReLU()) * repeats, MaxPool()]
    return ModelSpec(name, (*convolutions, *_head(ReLU())))


def _head(*after_hidden: Layer) -> tuple[Layer, ...]:
    first = (Flatten(), Dropout(0.5), Dense(512), *after_hidden)
    return (*first, Dropout(0.5), Dense(128), *after_hidden, Dense(CLASSES))


def _cnn_4() -> ModelSpec:
    activation: tuple[Layer, ...] = (BatchNorm(), LeakyReLU(0.1))
    convolutions: list[Layer] = []
    for width in (64, 128, 256):
        convolutions += [Conv(width), *activation, Conv(width), *activation, MaxPool()]
    init = KaimingNormal(slope=0.1)
    return ModelSpec("cnn_4", (*convolutions, *_head(*activation)), conv_init=init, dense_init=init)


def _vgg(name: str, *channels: int) -> ModelSpec:
    """VGG (Simonyan and Zisserman 2014) with BatchNorm, and a global average pool where VGG has wide dense layers."""
    stages: list[Layer] = []
    for width in channels:
        stages += [*(Conv(width, bias=False), BatchNorm(), ReLU()) * 2, MaxPool()]
    # No pool behind the last stage: the average takes in all of its places.
    layers = (*stages[:-1], GlobalAveragePool(), Dropout(0.3), Dense(CLASSES))
    return ModelSpec(name, layers, conv_init=KaimingNormal())


def _resnet_18(name: str, *stem: Layer) -> ModelSpec:
    blocks: list[Layer] = []
    for width, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        blocks += [Residual(width, stride), Residual(width)]
    return ModelSpec(name, (*stem, *blocks, GlobalAveragePool(), Dense(CLASSES)), conv_init=KaimingNormal())


MODELS = {
    spec.name: spec
    for spec in (
        _mlp("mlp_1", 512, 128),
        _mlp("mlp_2", 1024, 512, 256, 128, dropout=0.5),
        _mlp("mlp_3", 1024, 512, 512, 256, 128, dropout=0.5),
        _mlp("mlp_4", 512, 256, 128),
        _cnn("cnn_1", 32, 64, 128, repeats=1),
        _cnn("cnn_2", 32, 64, 128, repeats=2),
        _cnn("cnn_3", 64, 128, 256, repeats=2),
        _cnn("cnn_4_original", 32, 64, 128, 256, repeats=1),
        _cnn_4(),
        _resnet_18(
            "resnet_18",
            Resize(224),
            Conv(64, kernel=7, stride=2, padding=3, bias=False),
            BatchNorm(),
            ReLU(),
            MaxPool(3, 2, 1),
        ),
        # Not among the published ten, from here on.
        _vgg("vgg_32", 32, 64, 128, 256),
        _vgg("vgg_64", 64, 128, 256, 512),
        # Faces in their own size, the first blocks at all 48 x 48 places of them.
        _resnet_18("resnet_18_48", Conv(64, bias=False), BatchNorm(), ReLU()),
    )
}


def model_spec(name: str) -> ModelSpec:
    """Return the architecture called `name`; an `InputError` lists the names there are."""
    if name not in MODELS:
        raise InputError(f"the model is {name!r}, expected one of {', '.join(MODELS)}")
    return MODELS[name]
