"""A Gaussian process over choices, on BoTorch and GPyTorch, with marginal posteriors for large pools."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from botorch.exceptions import ModelFittingError
from botorch.fit import fit_gpytorch_mll
from botorch.models import SingleTaskGP
from botorch.models.model import Model
from gpytorch.constraints import GreaterThan
from gpytorch.kernels import Kernel
from gpytorch.mlls import ExactMarginalLogLikelihood
from gpytorch.priors import LogNormalPrior
from linear_operator.utils.errors import NanError, NotPSDError

from searchkit.space import Codes, Floats, Space


class Process(Model):
    """One independent Gaussian process per column of values, with fitted hyperparameters.

    Its posterior is marginal: the mean and the variance of each candidate, no covariances between candidates. That
    is all an analytic acquisition needs, and for a pool of thousands it is one matrix product with the training rows,
    where BoTorch's batched posterior copies the training rows for every candidate (30 times slower at 200 rows).

    Args:
        space: of the candidates.
        codes, values: ``(n, d)`` and ``(n, k)``, higher is better; standardised by the caller.
        n_iterations: at most so many steps of the fit (L-BFGS on the marginal likelihood with BoTorch's priors).
    """

    def __init__(self, space: Space, codes: Codes, values: Floats, n_iterations: int) -> None:
        super().__init__()
        self._space = space
        self._widths = _column_widths(space)
        self._y = torch.from_numpy(np.ascontiguousarray(values))
        self._x = self.features(codes)
        self._gp = SingleTaskGP(
            self._x, self._y, covar_module=_ChoiceKernel(space, values.shape[1]), outcome_transform=None
        )
        mll = ExactMarginalLogLikelihood(self._gp.likelihood, self._gp)
        with contextlib.suppress(ModelFittingError, NanError, NotPSDError):  # the scales stay where the fit left them
            fit_gpytorch_mll(mll, optimizer_kwargs={"options": {"maxiter": n_iterations}}, max_attempts=1)
        self._gp.eval()
        with torch.no_grad():
            self._noise = self._gp.likelihood.noise.reshape(-1)  # (k,)
            self._prior_mean = self._gp.mean_module.constant.reshape(-1)  # (k,)
            self._condition()

    @property
    def num_outputs(self) -> int:
        """k, the number of columns of values."""
        return int(self._y.shape[1])

    def features(self, codes: Codes) -> torch.Tensor:
        """``(n, p)`` inputs of the kernel: ordered choices in [0, 1], one-hot columns as wide as that makes alike."""
        return torch.from_numpy(self._space.features(codes) * self._widths)

    def posterior(self, X: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        """Mean and variance ``(n, 1, k)`` of the noise-free values at ``X (n, 1, p)``."""
        x = X.squeeze(-2)
        with torch.no_grad():
            across = self._kernel(x, self._x)  # (k, n, m)
            mean = self._prior_mean[:, None] + (across @ self._weights).squeeze(-1)
            shrink = torch.linalg.solve_triangular(self._root, across.mT, upper=False).square().sum(-2)
        variance = (1.0 - shrink).clamp_min(1e-10)  # the kernel is 1 on its diagonal
        return SimpleNamespace(mean=mean.mT[:, None, :], variance=variance.mT[:, None, :], device=x.device)

    def believe(self, code: Codes) -> None:
        """Take candidate ``(d,)`` to have its predicted value; the hyperparameters stay."""
        x = self.features(code[None])
        self._y = torch.cat([self._y, self.posterior(x[:, None, :]).mean[:, 0, :]])
        self._x = torch.cat([self._x, x])
        self._condition()

    def _condition(self) -> None:
        with torch.no_grad():
            among = self._kernel(self._x, self._x) + self._noise[:, None, None] * torch.eye(len(self._x))
            self._root = torch.linalg.cholesky(among)
            residual = (self._y - self._prior_mean).mT[..., None]  # (k, m, 1)
            self._weights = torch.cholesky_solve(residual, self._root)

    def _kernel(self, x1: torch.Tensor, x2: torch.Tensor) -> torch.Tensor:
        """``(k, n1, n2)`` prior covariances."""
        covariances: torch.Tensor = self._gp.covar_module.forward(x1, x2)
        return covariances.reshape(-1, len(x1), len(x2))


class _ChoiceKernel(Kernel):
    """Squared exponential with one length scale per choice, shared by the columns that encode it.

    Over one-hot columns that is a Hamming kernel with automatic relevance: a product of one factor for each choice in
    which two candidates differ.
    """

    def __init__(self, space: Space, n_outputs: int) -> None:
        batch = torch.Size([n_outputs]) if n_outputs > 1 else torch.Size()
        super().__init__(batch_shape=batch)
        # BoTorch's default for d inputs (Hvarfner, Hellsten, Nardi, ICML 2024): the more inputs, the longer the scales
        prior = LogNormalPrior(loc=2**0.5 + 0.5 * float(np.log(space.n_choices)), scale=3**0.5)
        self.register_parameter("raw_scales", torch.nn.Parameter(torch.zeros(*batch, 1, space.n_choices)))
        self.register_constraint("raw_scales", GreaterThan(2.5e-2, transform=None, initial_value=prior.mode))
        self.register_prior("scales_prior", prior, _scales_of)
        widths = [1 if choice.ordered else len(choice.options) for choice in space.choices]
        self._columns = torch.repeat_interleave(torch.arange(len(widths)), torch.tensor(widths))

    @property
    def scales(self) -> torch.Tensor:
        """``(k, 1, d)`` length scales."""
        constrained: torch.Tensor = self.raw_scales_constraint.transform(self.raw_scales)
        return constrained

    def forward(self, x1: torch.Tensor, x2: torch.Tensor, diag: bool = False, **params: Any) -> torch.Tensor:
        """Covariances ``(k, n1, n2)``, or ``(k, n)`` of equal rows."""
        scales = self.scales[..., self._columns]
        a, b = x1 / scales, x2 / scales
        if diag:
            return torch.exp(-0.5 * (a - b).square().sum(-1))
        square = a.square().sum(-1)[..., :, None] + b.square().sum(-1)[..., None, :] - 2 * a @ b.mT
        return torch.exp(-0.5 * square.clamp_min(0.0))


def _column_widths(space: Space) -> Floats:
    """``(p,)`` widths that give one-hot columns the mean squared distance, 1/6, of uniform numbers in [0, 1].

    The prior over length scales is made for such numbers.
    """
    widths: list[float] = []
    for choice in space.choices:
        m = len(choice.options)
        widths += [1.0] if choice.ordered else [(1 / (12 * (1 - 1 / m))) ** 0.5 if m > 1 else 0.0] * m
    return np.array(widths)


def _scales_of(kernel: _ChoiceKernel) -> torch.Tensor:
    return kernel.scales
