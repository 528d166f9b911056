"""A GPU that is not there: tensors say they are on the device ``pretended``, the CPU computes.

What would fail on a real GPU, or make the host wait for it, is recorded with the line that did it.
The device is neither ``cpu`` nor ``cuda``, so code that asks for ``cuda`` by name is not taken.

    with pretended_gpu() as recorder:
        x = torch.randn(4, device=DEVICE)
        x.sum().item()
    recorder.events       # {Event("wait", "item", "file.py:3"): 1}
    recorder.launches     # {"randn": 1, "sum": 1}
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import torch
import torch.utils.backend_registration as registration
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing

from gan_zoo.core import rng

NAME = "pretended"

KINDS = {
    "mismatch": "operands on both devices, an error",
    "wait": "the host reads from the device, or copies to it and waits until that is done",
    "hidden wait": "an operation whose result has a size, or an error, that the host has to know",
    "index": "an index on the CPU into a tensor on the device, which is copied and waited for",
    "float64": "numbers in double precision are made on the device",
    "upload": "a copy to the device that nothing waits for",
    "made on CPU": "a tensor that is made on the CPU",
}
HIDDEN_WAITS = {
    *("nonzero", "masked_select", "is_nonzero", "equal", "bincount", "histc"),
    *("_unique2", "unique_dim", "unique_consecutive", "unique_dim_consecutive"),
    *("_linalg_eigh", "_linalg_eigvals", "linalg_eigh", "linalg_eig", "_linalg_svd"),
    *("linalg_cholesky_ex", "_linalg_solve_ex", "linalg_inv_ex", "linalg_qr"),
}
NO_KERNEL = {
    *("empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "set_"),
    *("detach", "alias", "lift", "lift_fresh", "_unsafe_view", "_reshape_alias"),
    *("is_same_size", "_local_scalar_dense"),
}
INDEXING = {"index", "_unsafe_index", "index_put", "index_put_", "_index_put_impl_"}
ACROSS_DEVICES = {"copy_", "_foreach_copy_", *INDEXING}
FACTORIES = {
    *("rand", "randn", "randint", "randperm", "zeros", "ones", "full", "arange", "eye"),
    *("scalar_tensor", "linspace", "lift_fresh", "normal", "empty"),
}


class Event(NamedTuple):
    """Something that a GPU would mind."""

    kind: str
    operation: str
    place: str


class _Module(registration._DummyBackendModule):
    """What torch asks of the module of a device."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16, torch.float16]

    def manual_seed(self, seed: int) -> None:
        pass


registration._setup_privateuseone_for_python_backend(NAME, backend_module=_Module())
DEVICE = torch.device(NAME, 0)
CPU = torch.device("cpu")


class PretendedTensor(Tensor):
    """A tensor on the device; ``on_cpu`` holds its numbers."""

    on_cpu: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, on_cpu: Tensor) -> PretendedTensor:
        made = Tensor._make_wrapper_subclass(
            cls,
            on_cpu.size(),
            strides=on_cpu.stride(),
            storage_offset=on_cpu.storage_offset(),
            dtype=on_cpu.dtype,
            layout=on_cpu.layout,
            device=DEVICE,
        )
        made.on_cpu = on_cpu
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _current().run(func, args, kwargs or {})

    def __repr__(self, **_: Any) -> str:
        return f"PretendedTensor({self.on_cpu!r})"

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if id(self) not in memo:
            copied: Tensor = PretendedTensor(self.on_cpu.detach().clone())
            if isinstance(self, torch.nn.Parameter):
                copied = torch.nn.Parameter(copied, self.requires_grad)
            memo[id(self)] = copied.requires_grad_(self.requires_grad)
        return memo[id(self)]

    def __reduce_ex__(self, protocol: Any) -> Any:
        _current().record("wait", "pickle")
        return self.on_cpu.detach().__reduce_ex__(protocol)


def numbers_of(values: Any) -> Any:
    """The same with every tensor of the device replaced by its numbers on the CPU."""
    return _replaced(values, PretendedTensor, lambda tensor: tensor.on_cpu)


def _replaced(values: Any, kind: type, replace: Callable[[Any], Any]) -> Any:
    """``values``, plain containers, with everything of ``kind`` replaced."""
    if isinstance(values, kind):
        return replace(values)
    if isinstance(values, list | tuple):
        return type(values)([_replaced(value, kind, replace) for value in values])
    if isinstance(values, dict):
        return {key: _replaced(value, kind, replace) for key, value in values.items()}
    return values


def _tensors(values: Sequence[Any]) -> list[Tensor]:
    """All tensors in lists of lists."""
    found = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, list | tuple):
            found += _tensors(value)
    return found


@cache
def _facts(func: Any) -> tuple[str, bool, bool]:
    """The name of an operation, whether it is a view, and whether it returns an argument's
    storage.
    """
    returned = [argument.alias_info for argument in func._schema.returns]
    aliases = [info for info in returned if info is not None]
    is_view = any(not info.is_write for info in aliases)
    return func._schema.name.partition("::")[2], is_view, bool(aliases)


class Recorder:
    """What happened on the device: events, and operations that launch kernels.

    An operation counts once, also one that launches several kernels (the backward pass of a
    convolution, a `foreach` operation over many tensors): a lower bound of kernels.
    """

    def __init__(self) -> None:
        self.events: Counter[Event] = Counter()
        self.launches: Counter[str] = Counter()
        self.in_step = False

    def clear(self) -> None:
        self.events.clear()
        self.launches.clear()

    def record(self, kind: str, operation: str) -> None:
        assert kind in KINDS
        self.events[Event(kind, operation, _place(sys._getframe(1)))] += 1

    def run(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Compute an operation on the CPU and record it."""
        name, _, _ = _facts(func)
        tensors = _tensors((*args, *kwargs.values()))
        here = [tensor for tensor in tensors if isinstance(tensor, PretendedTensor)]
        device = kwargs.get("device")
        made_here = device is not None and torch.device(device).type == NAME
        if not here and not made_here:
            if self.in_step and name in FACTORIES:
                self.record("made on CPU", name)
            return func(*args, **kwargs)
        if name == "_local_scalar_dense":
            self.record("wait", "item")
            return func(*numbers_of(args))
        if name == "_to_copy":
            return self._copied(func, args[0], kwargs)
        if name in INDEXING:
            self._check_index(name, args)
        self._check_operands(name, tensors, here, args, kwargs)
        return self._computed(func, name, args, kwargs, made_here)

    def _check_operands(
        self, name: str, tensors: list[Tensor], here: list[Any], args: Any, kwargs: Any
    ) -> None:
        # Copies may cross devices, numbers on the CPU may be operands of anything.
        elsewhere = [tensor for tensor in tensors if not isinstance(tensor, PretendedTensor)]
        if name in HIDDEN_WAITS:
            self.record("hidden wait", name)
        if not here or not elsewhere:
            return
        if name in ("copy_", "_foreach_copy_"):
            waits = not (kwargs.get("non_blocking") or (len(args) > 2 and args[2]))
            self.record("wait" if waits else "upload", "copy_ across devices")
        elif name not in ACROSS_DEVICES and (
            name in ("cat", "stack") or any(tensor.dim() for tensor in elsewhere)
        ):
            self.record("mismatch", name)
            shapes = ", ".join(str(tuple(tensor.shape)) for tensor in elsewhere)
            raise RuntimeError(f"{name}: operands on {NAME} and, of shape {shapes}, on cpu")

    def _check_index(self, name: str, args: Any) -> None:
        indices = [index for index in args[1] or () if isinstance(index, Tensor)]
        if not isinstance(args[0], PretendedTensor):
            self.record("mismatch", name)
            raise RuntimeError(f"{name}: an index on {NAME} into a tensor on cpu")
        if any(index.dtype in (torch.bool, torch.uint8) for index in indices):
            self.record("hidden wait", f"{name} by a mask")
        if not all(isinstance(index, PretendedTensor) for index in indices):
            self.record("index", name)

    def _computed(self, func: Any, name: str, args: Any, kwargs: Any, made_here: bool) -> Any:
        inner = numbers_of(kwargs)
        if made_here:
            inner = {key: value for key, value in inner.items() if key != "pin_memory"}
            inner["device"] = CPU
        result = func(*numbers_of(args), **inner)

        # Views launch nothing.
        _, is_view, is_alias = _facts(func)
        if not is_view and name not in NO_KERNEL:
            self.launches[name] += 1
            self._check_double(name, result)
        wrapped = _replaced(result, Tensor, _wrapped)
        return return_and_correct_aliasing(func, args, kwargs, wrapped) if is_alias else wrapped

    def _copied(self, func: Any, source: Tensor, kwargs: Any) -> Tensor:
        """A tensor on another device, in another type or layout."""
        from_here = isinstance(source, PretendedTensor)
        device = kwargs.get("device")
        to_here = from_here if device is None else torch.device(device).type == NAME
        if from_here == to_here:
            self.launches["_to_copy"] += 1
        elif to_here:
            self.record("upload" if kwargs.get("non_blocking") else "wait", "copy to the device")
        else:
            self.record("wait", "copy to the host")
        inner = dict(kwargs)
        if device is not None:
            inner["device"] = CPU
        copied: Tensor = func(numbers_of(source), **inner)
        if not to_here:
            return copied
        self._check_double("_to_copy", copied)
        return PretendedTensor(copied)

    def _check_double(self, name: str, result: Any) -> None:
        if any(tensor.dtype == torch.float64 for tensor in _tensors((result,))):
            self.record("float64", name)


def _wrapped(tensor: Tensor) -> PretendedTensor:
    return tensor if isinstance(tensor, PretendedTensor) else PretendedTensor(tensor)


def _place(frame: FrameType | None) -> str:
    """The innermost two lines of gan_zoo, or the innermost outside torch."""
    ours: list[str] = []
    first = ""
    while frame is not None and len(ours) < 2:
        file = frame.f_code.co_filename
        line = f"{file.split('/site-packages/')[-1].split('/src/')[-1]}:{frame.f_lineno}"
        if "/gan_zoo/" in file:
            ours.append(line)
        elif not first and file != __file__ and "/torch/" not in file and file[0] != "<":
            first = line.removeprefix(f"{Path.cwd()}/")
        frame = frame.f_back
    return " < ".join(ours) or first or "autograd"


_recorders: list[Recorder] = []


def _current() -> Recorder:
    return _recorders[-1] if _recorders else Recorder()


def _made_from_numbers(make: Callable[..., Tensor], args: Any, kwargs: Any) -> Tensor:
    """`torch.tensor` and its kind make their result on the CPU and copy it to the device."""
    device = torch.device(kwargs.pop("device"))
    made = make(*args, **kwargs)
    if device.type == NAME and not isinstance(made, PretendedTensor):
        _current().record("wait", f"{make.__name__} of numbers")
        return PretendedTensor(made)
    return made.to(device)


class _Constructors(TorchFunctionMode):
    """Functions that do not pass torch's dispatcher."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func in (torch.tensor, torch.as_tensor, torch.asarray) and kwargs.get("device"):
            return _made_from_numbers(func, args, kwargs)
        if not args or not isinstance(args[0], PretendedTensor):
            return func(*args, **kwargs)
        if func is Tensor.tolist:
            _current().record("wait", "tolist")
            return args[0].on_cpu.tolist()
        if func is Tensor.numpy:
            raise TypeError(f"can't convert {NAME} device type tensor to numpy")
        if func is Tensor.new_tensor:
            kwargs.setdefault("dtype", args[0].dtype)
            return _made_from_numbers(torch.tensor, args[1:], kwargs | {"device": DEVICE})
        return func(*args, **kwargs)


class _Dispatch(TorchDispatchMode):
    """Operations without operands on the device, such as those that make tensors."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _current().run(func, args, kwargs or {})


@contextmanager
def pretended_gpu() -> Iterator[Recorder]:
    """Within the block tensors can be made on `DEVICE`."""
    _recorders.append(Recorder())
    # Python devices have no generators: the numbers are those of the CPU.
    rng._generators.setdefault(DEVICE, torch.Generator())
    try:
        with _Constructors(), _Dispatch():
            yield _recorders[-1]
    finally:
        _recorders.pop()
