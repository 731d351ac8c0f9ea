# SPDX-License-Identifier: Apache-2.0
"""All messages of an ONNX model, however deep: no more than can be looked at, with names that can be printed."""

import functools

import onnx
from google.protobuf.descriptor import FieldDescriptor

from ...hdl.config import ConfigError

__all__ = ["all_tensors", "short"]

# A network of ten thousand nodes has some hundred thousand messages.
MOST_MESSAGES = 1 << 20
# Numbers outside of raw data, which take up to eight bytes each where the file has one.
MOST_NUMBERS = 1 << 28
# Characters of a name; every row of a table is as wide as the longest.
MOST_CHARACTERS = 1 << 14
# Whose texts are for people, and not read.
FREE = (onnx.ModelProto, onnx.GraphProto, onnx.StringStringEntryProto)


def all_tensors(model):
    """Every TensorProto in `model`, a list: also of functions, attributes, sparse and training data.

    Raises
    ------
    ConfigError
        ("model") where there is more in it than can be looked at, or a name is no UTF-8, very long or not printable.
    """
    tensors, waiting, count, numbers = [], [model], 1, 0
    while waiting:
        message = waiting.pop()
        if isinstance(message, onnx.TensorProto):
            tensors.append(message)
        for name, kind, several in _fields(type(message)):
            value = getattr(message, name) if several or message.HasField(name) else None
            if kind == FieldDescriptor.TYPE_MESSAGE and value is not None:
                found = value if several else [value]
                count += len(found)
                if count > MOST_MESSAGES:
                    raise ConfigError("model", f"more than {MOST_MESSAGES:,} messages", "must have fewer")
                waiting.extend(found)
            elif kind == FieldDescriptor.TYPE_STRING and value is not None:
                for text in value if several else [value]:
                    _check_name(text)
            elif value is not None:
                numbers += len(value)
                if numbers > MOST_NUMBERS:
                    raise ConfigError("model", f"more than {MOST_NUMBERS:,} numbers", "must have fewer as no raw data")
    return tensors


@functools.cache
def _fields(kind):
    """``(name, type, whether repeated)`` of the fields of a message `kind` that are looked at."""
    # Versions of the library differ in how they tell, but for the default.
    fields = [(field.name, field.type, field.default_value == []) for field in kind.DESCRIPTOR.fields]
    return [(name, of, several) for name, of, several in fields
            if of == FieldDescriptor.TYPE_MESSAGE
            or of == FieldDescriptor.TYPE_STRING and name != "doc_string" and kind not in FREE
            or several and of not in (FieldDescriptor.TYPE_BYTES, FieldDescriptor.TYPE_STRING)]


# Of all spaces, those that neither end a line nor hide.
SPACES = dict.fromkeys([0xA0, 0x1680, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000], " ")


def _check_name(text):
    # The library gives as bytes what is no UTF-8. Spaces other than the plain one are harmless.
    if isinstance(text, bytes) or not text.translate(SPACES).isprintable():
        raise ConfigError("model", repr(text[:60]), "must be printable, as a name")
    if len(text) > MOST_CHARACTERS:
        raise ConfigError("model", repr(text[:60]), f"must have {MOST_CHARACTERS:,} characters at most, as a name")


def short(text):
    """`text`, or its beginning and end."""
    text = str(text)
    return text if len(text) <= 100 else text[:60] + "..." + text[-30:]
