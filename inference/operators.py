"""Which operators an artifact may be made of: an engine runs files that strangers have sent.

None of them loops, branches, reads a file or calls anything outside of onnxruntime's own kernels, so that what a model
costs is bounded by its weights and shapes. To take in models with others, add these to `OPERATORS`; a domain of its own
needs an entry of its own.
"""

from data.errors import InputError
from inference.wire import contents

# What `export.canonical` writes.
NETWORK = {"Add", "Conv", "Flatten", "Gemm", "GlobalAveragePool", "LeakyRelu", "MaxPool", "Relu", "Resize"}
# What `export.contract` puts around it; `Cast` is what fp16 adds, too.
WRAPPING = {"Cast", "Div", "Identity", "Softmax", "Sub", "Unsqueeze"}
# What int8 adds.
QUANTIZING = {"DequantizeLinear", "QuantizeLinear"}
# By domain; ONNX's own is "".
OPERATORS = {"": frozenset(NETWORK | WRAPPING | QUANTIZING)}
REMEDY = "use a file that ferox export wrote"


def check_operators(model: bytes, name: str) -> None:
    """Raise an `InputError` unless a serialised model is made of known operators and of nothing outside itself."""
    held = contents(model, name)
    if held.functions:
        raise InputError(f"{name} defines {held.functions} functions of its own, expected none; {REMEDY}")
    if held.external:
        raise InputError(f"{name} keeps weights in another file, expected all inside; {REMEDY}")
    strange = sorted(
        f"{domain}.{operator}" if domain else operator
        for domain, operator in held.operators
        if operator not in OPERATORS.get(domain, ())
    )
    if strange:
        raise InputError(
            f"{name} uses {', '.join(strange)[:200]}, which no model here needs; expected only "
            f"{', '.join(sorted(OPERATORS['']))}; {REMEDY}"
        )
