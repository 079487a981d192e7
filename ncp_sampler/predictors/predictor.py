"""Protocol of predictors, base class of NumPy predictors, and isolated PyTorch settings.

Notation
    n, d, m    codes, columns of a code, metrics
    x          unit codes (n, d); BoTorch calls them normalized inputs
    mean, std  posterior of each metric at x, (n, m), in the metrics' own units, without noise
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import lru_cache
from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from threadpoolctl import ThreadpoolController
from torch import Tensor

from ncp_sampler import checks
from ncp_sampler.deprecated import with_old_names

FloatArray: TypeAlias = NDArray[np.float64]
State: TypeAlias = dict[str, Any]
Metrics: TypeAlias = Mapping[str, ArrayLike]  # name -> (n,), NaN where missing
Weights: TypeAlias = ArrayLike | None  # weights of the rows (n,), at least 0; equal if None
Pullback: TypeAlias = Callable[[FloatArray], FloatArray]  # gradient w.r.t. values -> w.r.t. x


class Moments(NamedTuple):
    """Posterior mean and standard deviation at x, with their gradient.

    Attributes:
        mean: Posterior mean, (n, m).
        std: Posterior standard deviation, (n, m).
        vjp: Vector-Jacobian product: gradients with respect to mean and std (n, m) -> gradient
            with respect to x, (n, d).
    """

    mean: FloatArray
    std: FloatArray
    vjp: Callable[[FloatArray, FloatArray], FloatArray]


@runtime_checkable
class Predictor(Protocol):
    """Differentiable model of metrics over unit codes.

    ``GaussianProcess`` is exact and suits up to a few hundred observations; ``MLPEnsemble`` is the
    paper's type of model, for tables. Both are deterministic for a given seed. If a class only
    implements this protocol, PyTorch differentiates its ``posterior`` and ``mean``.

    Examples:
        >>> from ncp_sampler.predictors import GaussianProcess
        >>> isinstance(GaussianProcess(), Predictor)
        True
    """

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the metrics, in the order of the last axis of all outputs."""

    @property
    def device(self) -> torch.device:
        """Device of the predictor's tensors."""

    @property
    def max_rows(self) -> int | None:
        """Maximum number of rows to fit; None for any number."""
        return None

    def fit(
        self, x: ArrayLike, metrics: Metrics, *, weights: Weights = None, steps: int | None = None
    ) -> Predictor:
        """Fit metrics at unit codes; training continues from the last fit.

        Args:
            x: Unit codes, (n, d).
            metrics: Name -> values (n,), NaN where missing.
            weights: Nonnegative weights of the rows, (n,); equal weights if None.
            steps: Number of training steps, instead of the default number; 0 keeps all parameters
                and only updates the rows.

        Raises:
            ValueError: As for ``transforms.training_arrays``.
        """

    def mean(self, x: Tensor) -> Tensor:
        """Return the mean (n, m) at x (n, d), differentiable; cheaper than the posterior."""

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation (n, m) at x (n, d), differentiable."""

    def predict(self, x: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Return mean and standard deviation (n, m) at x (n, d) as arrays."""

    def condition(self, x: ArrayLike) -> Predictor:
        """Return a copy that has observed its own mean at x (q, d), to spread a batch of codes."""

    def state_dict(self) -> State:
        """Return all fitted parameters as plain values, arrays and tensors."""

    def load_state_dict(self, state: State) -> None:
        """Restore a ``state_dict``; afterwards, ``fit`` the same rows with ``steps=0``."""


@with_old_names
class Model(Predictor):
    """Base class of NumPy predictors, which PyTorch treats as single differentiable functions."""

    @abstractmethod
    def moments(self, x: FloatArray) -> Moments:
        """Return mean and standard deviation (n, m) at unit codes x (n, d), with their gradient."""

    def mean_vjp(self, x: FloatArray) -> tuple[FloatArray, Pullback]:
        """Return the mean (n, m) at unit codes x (n, d), and its pullback to x."""
        mean, std, vjp = self.moments(x)
        return mean, lambda by_mean: vjp(by_mean, np.zeros_like(std))

    @abstractmethod
    def condition(self, x: ArrayLike) -> Model: ...

    def sequential_residuals(self, rows: Sequence[int], *, behind: int = 0) -> FloatArray | None:
        """Return one-step-ahead residuals (m, k) of fitted rows; None if there is no closed form.

        See ``GaussianProcess.sequential_residuals``.
        """
        return None

    @property
    def unseen(self) -> FloatArray | None:
        """Predicted and measured values (2, n, m) of unseen rows; None if not available.

        The rows were held out of the fit, or predicted leave-one-out.
        """
        return None

    def leave_one_out(self) -> tuple[FloatArray, FloatArray] | None:
        """Return moments (n, m) of the fitted rows, each predicted from all other rows.

        The result is None if there is no closed form; see ``GaussianProcess.leave_one_out``.
        """
        return None

    def mean(self, x: Tensor) -> Tensor:
        mean: Tensor
        (mean,) = _Differentiable.apply(x, self.mean_vjp)  # type: ignore[no-untyped-call]
        return mean

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mean, std = _Differentiable.apply(x, self.moments)  # type: ignore[no-untyped-call]
        return mean, std

    def predict(self, x: ArrayLike) -> tuple[FloatArray, FloatArray]:
        moments = self.moments(np.asarray(x, dtype=np.float64))
        return moments.mean, moments.std


class _Foreign(Model):
    """Adapter for a predictor that only implements the protocol."""

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor

    def __getattr__(self, name: str) -> Any:
        if name == "predictor":  # not set yet while a copy is created
            raise AttributeError(name)
        return getattr(self.predictor, name)

    @property
    def names(self) -> tuple[str, ...]:
        return self.predictor.names

    @property
    def device(self) -> torch.device:
        return self.predictor.device

    @property
    def max_rows(self) -> int | None:
        return self.predictor.max_rows

    def fit(
        self, x: ArrayLike, metrics: Metrics, *, weights: Weights = None, steps: int | None = None
    ) -> _Foreign:
        self.predictor.fit(x, metrics, weights=weights, steps=steps)
        return self

    def moments(self, x: FloatArray) -> Moments:
        return torch_moments(self.predictor, x)

    def mean_vjp(self, x: FloatArray) -> tuple[FloatArray, Pullback]:
        return torch_vjp(self.predictor.mean, x, self.device)

    def condition(self, x: ArrayLike) -> _Foreign:
        return _Foreign(self.predictor.condition(x))

    def state_dict(self) -> State:
        return self.predictor.state_dict()

    def load_state_dict(self, state: State) -> None:
        self.predictor.load_state_dict(state)


def torch_moments(predictor: Predictor, x: FloatArray) -> Moments:
    """Return mean and standard deviation (n, m) at x (n, d), differentiated by PyTorch."""
    both, pullback = torch_vjp(lambda z: torch.cat(predictor.posterior(z), 1), x, predictor.device)
    mean, std = np.split(both, 2, axis=1)
    return Moments(
        mean, std, lambda by_mean, by_std: pullback(np.concatenate([by_mean, by_std], 1))
    )


def torch_vjp(
    function: Callable[[Tensor], Tensor], x: FloatArray, device: torch.device | str = "cpu"
) -> tuple[FloatArray, Pullback]:
    """Return the values of a PyTorch function at x (n, d), and its pullback to x.

    If the values do not depend on x, the gradient is 0.
    """
    leaf = torch.as_tensor(x, dtype=torch.float64, device=device).requires_grad_(True)
    with torch.enable_grad():
        values = function(leaf)

    def pullback(gradient: FloatArray) -> FloatArray:
        if not values.requires_grad:
            return np.zeros(x.shape)
        with torch.enable_grad():  # of a scalar: with grad_outputs, PyTorch imports sympy
            total = (values * values.new_tensor(gradient)).sum()
        return to_array(torch.autograd.grad(total, leaf, retain_graph=True)[0])

    return to_array(values), pullback


def to_array(values: Tensor) -> FloatArray:
    """Return a tensor as a float64 array, without its gradient."""
    array: FloatArray = values.detach().to("cpu", torch.float64).numpy()
    return array


def as_model(name: str, value: Any) -> Model:
    """Return a predictor as a ``Model``; wrap it in an adapter if it only implements the protocol.

    Raises:
        ValueError: A method or property of the protocol is missing.
    """
    if isinstance(value, Model):
        return value
    must = "be a predictor, such as GaussianProcess()"
    return _Foreign(checks.instance(name, value, Predictor, must))


@contextmanager
def isolated_torch(device: torch.device) -> Iterator[None]:
    """Isolate a computation from the caller's default device, grad mode and inference mode.

    NumPy does not warn about overflows in this context, because extreme values saturate by design.
    """
    # if the default device is right already, a device mode would only slow down all PyTorch calls
    # (an ensemble's fit by half); get_default_device fails in PyTorch 2.6 after
    # set_default_device(None)
    mode = nullcontext() if torch.empty(0).device == device else torch.device(device)
    with mode, torch.inference_mode(False), torch.enable_grad(), np.errstate(all="ignore"):
        yield


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute with one CPU thread, then restore the caller's thread counts.

    The matrices of an ask are small. On a busy machine, threads would wait for one another (84 ms
    became 423 ms on two cores). Moreover, a process that is forked after a parallel computation
    hangs in the next parallel computation.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with _blas_libraries().limit(limits=1):
            yield
    finally:
        torch.set_num_threads(threads)


@lru_cache(maxsize=1)  # finding the loaded libraries takes milliseconds
def _blas_libraries() -> ThreadpoolController:
    """Return the controller for the threads of NumPy's and SciPy's linear algebra."""
    return ThreadpoolController().select(user_api="blas")


class _Differentiable(torch.autograd.Function):
    """PyTorch function made from a NumPy function that returns values and their pullback."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, function: Callable[[FloatArray], Any]) -> tuple[Tensor, ...]:
        *values, ctx.vjp = function(to_array(x))
        return tuple(_tensor(part, x) for part in values)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return _tensor(ctx.vjp(*map(to_array, gradients)), gradients[0]), None


def _tensor(values: FloatArray, like: Tensor) -> Tensor:
    return torch.as_tensor(values, dtype=torch.float64, device=like.device)
