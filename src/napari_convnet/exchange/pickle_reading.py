"""The arrays in a pickled dictionary, read without unpickling: nothing in the file is ever called.

A pickle is a program. `pickletools.genops` takes it apart into instructions without running it, and the
few that build dictionaries, lists, numbers, text and numpy arrays are carried out here on plain values.
A name such as ``os.system`` is only a name here, and one that numpy's arrays do not need ends the reading.
"""

from __future__ import annotations

import pickletools
from dataclasses import dataclass, field
from typing import Any

import numpy as np


class RefusedError(ValueError):
    """Something in the file that plain arrays do not need; the message says what."""


@dataclass(frozen=True)
class _Name:
    """A function or class that the file would call if it were unpickled."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(eq=False)
class _Made:
    """What calling a harmless name would make: its arguments and state, as plain values."""

    name: _Name
    arguments: tuple
    state: Any = None


@dataclass(frozen=True)
class _Mark:
    """A place on the stack."""


_ARRAY = {("numpy.core.multiarray", "_reconstruct"), ("numpy._core.multiarray", "_reconstruct")}
_SCALAR = {("numpy.core.multiarray", "scalar"), ("numpy._core.multiarray", "scalar")}
_DTYPE = {("numpy", "dtype")}
_BUFFER = {("numpy.core.numeric", "_frombuffer"), ("numpy._core.numeric", "_frombuffer")}
_ENCODE = {("_codecs", "encode")}
_HARMLESS = _ARRAY | _SCALAR | _DTYPE | _BUFFER | _ENCODE | {("numpy", "ndarray")}

#: Instructions that put the value in their argument on the stack.
_CONSTANTS = {
    "BININT", "BININT1", "BININT2", "INT", "LONG", "LONG1", "LONG4", "BINFLOAT", "FLOAT", "STRING",
    "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8", "UNICODE",
    "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
}  # fmt: skip
_FIXED: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_NOTHING = {"PROTO", "FRAME", "STOP"}


@dataclass(eq=False)
class _Machine:
    """The stack and the memory of a pickle."""

    stack: list = field(default_factory=list)
    memory: dict = field(default_factory=dict)

    def run(self, data: bytes) -> Any:
        for opcode, argument, _ in pickletools.genops(data):
            self._step(opcode.name, argument)
        (result,) = self.stack
        return result

    def _step(self, name: str, argument: Any) -> None:
        stack = self.stack
        if name in _CONSTANTS:
            stack.append(argument)
        elif name in _FIXED:
            stack.append(_FIXED[name])
        elif name in ("EMPTY_DICT", "EMPTY_LIST", "MARK"):
            stack.append({"EMPTY_DICT": dict, "EMPTY_LIST": list, "MARK": _Mark}[name]())
        elif name in ("TUPLE", "LIST", "DICT", "APPENDS", "SETITEMS"):
            self._collect(name)
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            count = int(name[-1])
            stack[-count:] = [tuple(stack[-count:])]
        elif name == "APPEND":
            _checked(stack[-2], list).append(stack[-1])
            stack.pop()
        elif name == "SETITEM":
            _put(stack[-3], stack[-2:])
            del stack[-2:]
        elif name in ("BINPUT", "LONG_BINPUT", "PUT", "MEMOIZE"):
            self.memory[len(self.memory) if name == "MEMOIZE" else int(argument)] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            stack.append(self.memory[int(argument)])
        elif name in ("GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD"):
            self._object(name, argument)
        elif name not in _NOTHING:
            raise RefusedError(f"the instruction {name}")

    def _collect(self, name: str) -> None:
        """Take everything above the last mark off the stack and put it where it belongs."""
        at = next(k for k in reversed(range(len(self.stack))) if isinstance(self.stack[k], _Mark))
        values = self.stack[at + 1 :]
        del self.stack[at:]
        if name in ("TUPLE", "LIST"):
            self.stack.append(tuple(values) if name == "TUPLE" else values)
        elif name == "APPENDS":
            _checked(self.stack[-1], list).extend(values)
        else:
            if name == "DICT":
                self.stack.append({})
            _put(self.stack[-1], values)

    def _object(self, name: str, argument: Any) -> None:
        stack = self.stack
        if name in ("GLOBAL", "STACK_GLOBAL"):
            parts = tuple(argument.split(" ", 1)) if name == "GLOBAL" else tuple(stack[-2:])
            if name == "STACK_GLOBAL":
                del stack[-2:]
            if parts not in _HARMLESS:
                raise RefusedError(f"'{'.'.join(map(str, parts))}'")
            stack.append(_Name(*parts))
        elif name == "REDUCE":
            called, arguments = _checked(stack[-2], _Name), _checked(stack[-1], tuple)
            stack[-2:] = [_Made(called, arguments)]
        else:
            _checked(stack[-2], _Made).state = stack[-1]
            stack.pop()


def _checked(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise RefusedError(f"a {type(value).__name__} where a {kind.__name__.strip('_')} belongs")
    return value


def _put(target: Any, pairs: list) -> None:
    for key, value in zip(pairs[::2], pairs[1::2], strict=True):
        if not isinstance(key, str | int | float | bytes):
            raise RefusedError("a key that is neither text nor a number")
        _checked(target, dict)[key] = value


def read_pickled_arrays(data: bytes) -> Any:
    """Return what a pickle of arrays describes, with numpy arrays where they can be made safely.

    Parameters
    ----------
    data
        The pickle, as ``numpy.save`` writes it for an object array.

    Returns
    -------
    Any
        A dictionary for a pickled dictionary, also when it is in an object array of one element. Values
        that are no arrays of numbers are left as they are.

    Raises
    ------
    RefusedError
        If the file would call anything but numpy's own array functions, or is damaged.
    """
    try:
        made = _Machine().run(data)
        array = _array(made)
        while isinstance(array, list) and len(array) == 1:  # the one element of numpy.save's array
            array = array[0]
        if isinstance(array, dict):
            return {key: _array(value) for key, value in array.items()}
        return array
    except RefusedError:
        raise
    except (ValueError, IndexError, KeyError, TypeError, StopIteration, AttributeError,
            UnicodeDecodeError, OverflowError, MemoryError, RecursionError) as error:  # fmt: skip
        raise RefusedError(f"something damaged ({error})") from error


def _array(value: Any) -> Any:
    """Return the numpy array that a value stands for, else the value."""
    if not isinstance(value, _Made):
        return value
    key = (value.name.module, value.name.name)
    if key in _ARRAY and isinstance(value.state, tuple) and len(value.state) == 5:
        _, shape, dtype, is_fortran, content = value.state
        if isinstance(content, list):
            return content
        return _shaped(_bytes(content), _dtype(dtype), shape, "F" if is_fortran else "C")
    if key in _BUFFER and len(value.arguments) == 4:
        content, dtype, shape, order = value.arguments
        return _shaped(_bytes(content), _dtype(dtype), shape, order)
    return value


def _shaped(content: bytes, dtype: np.dtype, shape: Any, order: str) -> np.ndarray:
    sizes = [_checked(size, int) for size in _checked(shape, tuple)]
    return np.frombuffer(content, dtype).reshape(sizes, order="F" if order == "F" else "C")


def _bytes(content: Any) -> bytes:
    """Return bytes, which older pickles write as text of the same codes."""
    if isinstance(content, _Made) and (content.name.module, content.name.name) in _ENCODE:
        return _checked(content.arguments[0], str).encode("latin-1")
    return bytes(content) if isinstance(content, bytes | bytearray) else _checked(content, bytes)


def _dtype(value: Any) -> np.dtype:
    """Return a plain number type; anything that could hold objects is refused."""
    made = _checked(value, _Made)
    text = made.arguments[0] if made.arguments else None
    if (made.name.module, made.name.name) not in _DTYPE or not isinstance(text, str):
        raise RefusedError("an unknown type of array")
    if len(text) > 3 or text[:1] not in "buif":
        raise RefusedError(f"an array of '{text[:20]}'")
    order = made.state[1] if isinstance(made.state, tuple) and len(made.state) > 1 else "="
    return np.dtype(text).newbyteorder(">" if order == ">" else "<" if order == "<" else "=")
