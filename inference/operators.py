"""Which operators an artifact may be made of: an engine runs files that strangers have sent.

None of them loops, branches, reads a file or calls anything outside of onnxruntime's own kernels, so that what a model
costs is bounded by its weights and shapes. To take in models with others, add these to `OPERATORS`; a domain of its own
needs an entry of its own. What makes much of little (`Expand`, `Tile`, `ConstantOfShape`, `Range`) is not among them.
"""

from data.errors import InputError
from inference.wire import contents

# What `export.canonical` writes.
NETWORK = {"Add", "Conv", "Flatten", "Gemm", "GlobalAveragePool", "LeakyRelu", "MaxPool", "Relu", "Resize"}
# What `export.contract` puts around it; `Cast` is what fp16 adds, too.
WRAPPING = {"Cast", "Div", "Identity", "Softmax", "Sub", "Unsqueeze"}
# What int8 adds.
QUANTIZING = {"DequantizeLinear", "QuantizeLinear"}
# What `export.adopt` puts around a model of others, and what such models are made of besides: VGGs and ResNets with
# masks, MobileNets and EfficientNets, what tf2onnx makes of Keras, and the attention of transformers.
ADOPTING = {"Gather", "Log", "MatMul", "Max", "Mul", "ReduceSum", "Concat"}
ADOPTED = {
    *{"AveragePool", "BatchNormalization", "ConvTranspose", "GlobalMaxPool", "InstanceNormalization", "LRN"},
    *{"Abs", "Clip", "Elu", "Exp", "HardSigmoid", "HardSwish", "Min", "Neg", "PRelu", "Reciprocal", "Selu", "Sigmoid"},
    *{"LogSoftmax", "Pad", "ReduceMax", "ReduceMean", "Reshape", "Shape", "Slice", "Softplus", "Split", "Squeeze"},
    *{"Sum", "Tanh", "Transpose", "Erf", "LayerNormalization", "Pow", "Sqrt"},
}
# By domain; ONNX's own is "".
OPERATORS = {"": frozenset(NETWORK | WRAPPING | QUANTIZING | ADOPTING | ADOPTED)}
REMEDY = "use a file that ferox export wrote"


def check_operators(model: bytes, name: str, remedy: str = REMEDY, besides: frozenset[str] = frozenset()) -> None:
    """Raise an `InputError` unless a serialised model is made of known operators and of nothing outside itself.

    Args:
        model: the bytes of an ONNX file.
        name: the file's name, for messages.
        remedy: what to do otherwise.
        besides: operators of ONNX that may be there, too.
    """
    held = contents(model, name)
    if held.functions:
        raise InputError(f"{name} defines {held.functions} functions of its own, expected none; {remedy}")
    if held.external:
        raise InputError(f"{name} keeps weights in another file, expected all inside; {remedy}")
    strange = sorted(
        f"{domain}.{operator}" if domain else operator
        for domain, operator in held.operators
        if operator not in OPERATORS.get(domain, ()) and (domain or operator not in besides)
    )
    if strange:
        raise InputError(
            f"{name} uses {', '.join(strange)[:200]}, which no model here needs; expected only "
            f"{', '.join(sorted(OPERATORS['']))}; {remedy}"
        )
