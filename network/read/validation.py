# SPDX-License-Identifier: Apache-2.0
"""Checks on all messages of an ONNX model, however deeply nested: their number, and whether names can be printed."""

import functools

import onnx
from google.protobuf.descriptor import FieldDescriptor

from ...gen.fields import shortened
from ...hdl.config import ConfigError

__all__ = ["all_tensors", "short"]

# A network of ten thousand nodes has some hundred thousand messages.
MOST_MESSAGES = 1 << 20
# Numbers outside of raw data. Each may take one byte in the file and eight in memory.
MOST_NUMBERS = 1 << 28
# Characters of a name. Every row of a printed table is as wide as the longest name.
MOST_CHARACTERS = 1 << 14
# Messages whose texts are for people: they are never printed.
FREE_TEXT = (onnx.ModelProto, onnx.GraphProto, onnx.StringStringEntryProto)
# Unicode spaces that neither end a line nor are invisible.
SPACES = dict.fromkeys([0xA0, 0x1680, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000], " ")
# What a message shows of a name.
short = functools.partial(shortened, most=100)


def all_tensors(model: onnx.ModelProto) -> list:
    """Every TensorProto in `model`, including those in functions, attributes, sparse tensors and training data.

    Raises ConfigError ("model") for too many messages or numbers, or a name that is not UTF-8, too long or not
    printable.
    """
    tensors, pending, message_count, number_count = [], [model], 1, 0
    while pending:
        message = pending.pop()
        if isinstance(message, onnx.TensorProto):
            tensors.append(message)
        for name, kind, repeated in _fields(type(message)):
            if not repeated and not message.HasField(name):
                continue
            value = getattr(message, name)
            values = value if repeated else [value]
            if kind == FieldDescriptor.TYPE_MESSAGE:
                message_count += len(values)
                if message_count > MOST_MESSAGES:
                    raise ConfigError("model", f"more than {MOST_MESSAGES:,} messages", "must have fewer")
                pending.extend(values)
            elif kind == FieldDescriptor.TYPE_STRING:
                for text in values:
                    # Protobuf returns text that is not UTF-8 as bytes.
                    if isinstance(text, bytes) or not text.translate(SPACES).isprintable():
                        raise ConfigError("model", repr(text[:60]), "a name must be printable")
                    if len(text) > MOST_CHARACTERS:
                        raise ConfigError("model", repr(text[:60]),
                                          f"a name must have {MOST_CHARACTERS:,} characters at most")
            else:
                number_count += len(values)
                if number_count > MOST_NUMBERS:
                    raise ConfigError("model", f"more than {MOST_NUMBERS:,} numbers",
                                      "must have fewer outside of raw data")
    return tensors


@functools.cache
def _fields(message_type):
    """``(name, type, repeated)`` of the fields of `message_type` that :func:`all_tensors` reads."""
    # Releases of protobuf differ in how they mark a repeated field, but all give it an empty list as its default.
    fields = [(field.name, field.type, field.default_value == []) for field in message_type.DESCRIPTOR.fields]
    return [(name, kind, repeated) for name, kind, repeated in fields
            if kind == FieldDescriptor.TYPE_MESSAGE
            or kind == FieldDescriptor.TYPE_STRING and name != "doc_string" and message_type not in FREE_TEXT
            or repeated and kind not in (FieldDescriptor.TYPE_BYTES, FieldDescriptor.TYPE_STRING)]
