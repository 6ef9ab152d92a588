"""Kinds of synthesis, each as what it measures of private patients and how it draws records."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepfixcx.mechanisms import Records
from deepfixcx.mechanisms.label_model import LabelModel, Measured, contributions
from deepfixcx.mechanisms.protocol import FittedMechanism
from deepfixcx.mechanisms.synthesis import FittedSynthesis

__all__ = ["Fitted"]

Array = NDArray[np.float32]
Floats = NDArray[np.float64]
COPIES = 4


def noise(shape: Any, bound: float, rho: float | None, generator: np.random.Generator) -> Any:
    """Return Gaussian noise that costs rho, seeded so that tables can be repeated; 0 without."""
    if rho is None:
        return np.zeros(shape), 0.0
    deviation = bound / math.sqrt(2 * rho)
    return generator.normal(0, deviation, shape), deviation


def states_of(labels: Any) -> NDArray[np.int64]:
    """Return the pattern of each row of labels; unknown ones count as 0."""
    known = np.nan_to_num(np.asarray(labels, np.float64))
    return (known @ 2.0 ** np.arange(known.shape[1])[::-1]).astype(np.int64)


class Fitted:
    """A release that can be made again, with late labels, and with rows in place of images."""

    def release(self, private: Records, rho: float | None, generator: Any) -> Records:
        """Make the release."""
        raise NotImplementedError

    def rows_of(self, private: Records, rho: float | None, generator: Any) -> Records:
        """Make it with a row in place of each image, for attackers who link."""
        return self.release(private, rho, generator)

    def represent(self, array: Array) -> Array:
        """Bring codes into its form."""
        raise NotImplementedError

    def with_labels(self, public: Records) -> Fitted:
        """Return the same for other labels, in the same representation."""
        return self

    def prepared(self, private: Records) -> Records:
        """Return records that `release` takes as well, and more quickly."""
        return private


@dataclass(eq=False)
class Catalogued(Fitted):
    """A mechanism of the package that looks at single records."""

    fitted: FittedMechanism

    def release(self, private: Records, rho: float | None, generator: Any) -> Records:
        return self.fitted.apply(private, generator)

    def represent(self, array: Array) -> Array:
        return self.fitted.represent(array)


@dataclass(eq=False)
class PublicAlone(Catalogued):
    """The public images, and nothing else."""

    public: Records

    def release(self, private: Records, rho: float | None, generator: Any) -> Records:
        return self.public.with_array(self.represent(self.public.array))

    def with_labels(self, public: Records) -> Fitted:
        return replace(self, public=public)


@dataclass(eq=False)
class Synthesis(Fitted):
    """Synthesis; what ideas change is overridden."""

    fitted: FittedSynthesis
    public: Records

    histogram: float = 0.25
    trust: str = "shrunk"
    found: Any = None

    def represent(self, array: Array) -> Array:
        return self.fitted.represent(array)

    def prepared(self, private: Records) -> Records:
        return private.with_array(self.represent(private.array))

    def numbers(self, records: Records) -> Floats:
        if records.array.shape[1:] == (len(self.model.root),):
            return records.array.astype(np.float64)
        return self.fitted.projection.represent(records.array).astype(np.float64)

    @property
    def model(self) -> LabelModel:
        return self.fitted.model

    def measure(self, private: Records, rho: float | None, generator: Any) -> Any:
        """Read the sums."""
        owners = private.patient_of_each()
        counts, sums = contributions(self.model, self.numbers(private), private.labels, owners)
        return self._noisy(counts.sum(0), sums.sum(0), rho, generator)

    def _noisy(self, counts: Any, sums: Any, rho: float | None, generator: Any) -> Measured:
        share = self.histogram
        one, first = noise(counts.shape, 1.0, rho and share * rho, generator)
        two, second = noise(sums.shape, self.model.bound, rho and (1 - share) * rho, generator)
        shape = self.model.slopes.shape
        return Measured(counts + one, (sums + two).reshape(shape), (first, second))

    def scorer(self, private: Records, rho: float | None) -> Any:
        """Score by how well a release explains an image, and by tracing a patient in the sums.

        Records show the slopes exactly, and slopes the sums. The share of a patient in the sums,
        in units of their covariance over random halves of the patients, as public images show it,
        is the linear score that tells members best (Homer et al. 2008; Dwork et al. 2015).
        """
        numbers, owners = self.numbers(private), private.patient_of_each()
        counts, sums = contributions(self.model, numbers, private.labels, owners)
        public = self.public.patient_of_each()
        known = contributions(self.model, self.numbers(self.public), self.public.labels, public)[1]
        spread = len(sums) / 4 * known.T @ known / len(known)
        spread += 1e-3 * np.trace(spread) / len(spread) * np.eye(len(spread))
        states = states_of(private.labels)
        _, first = np.unique(owners, return_index=True)

        def score(half: Any, generator: Any) -> Any:
            measured = self._noisy(counts[half].sum(0), sums[half].sum(0), rho, generator)
            apart = numbers - (self.model.design @ self.slopes(measured))[states]
            apart = np.linalg.solve(self.model.root, apart.T)
            traced = np.zeros(len(numbers))
            if self.trust != "public":
                noise_too = spread + measured.noise[1] ** 2 * np.eye(len(spread))
                traced[first] = sums @ np.linalg.solve(noise_too, measured.sums.ravel())
            shares = np.log(measured.histogram(self.model)[0].clip(1e-9))
            return {"residual": -(apart**2).sum(0), "traced": traced, "pattern": shares[states]}

        return score

    def slopes(self, measured: Any) -> Any:
        """Return public slopes, corrected as far as they are trusted."""
        slopes = measured.slopes(self.model)
        if self.trust == "public":
            slopes = self.model.slopes
        if self.trust == "private":
            shares, patients = measured.histogram(self.model)
            gram = self.model.design.T @ (self.model.design * (patients * shares)[:, None])
            change = np.linalg.solve(gram + 1e-3 * np.eye(len(gram)), measured.sums)
            slopes = self.model.slopes + change @ self.model.root.T
        return slopes

    def draw(self, states: Any, measured: Any, generator: Any) -> Any:
        """Draw a vector for each state."""
        seen = self.model.design[states]
        slopes = self.slopes(measured)
        fresh = self.fresh(states, measured, generator)
        fresh -= seen @ np.linalg.lstsq(seen, fresh, rcond=None)[0]
        return seen @ slopes + fresh @ self.root(measured).T

    def fresh(self, states: Any, measured: Any, generator: Any) -> Any:
        """Draw residuals with the unit matrix as covariance."""
        return generator.standard_normal((len(states), len(self.model.root)))

    def root(self, measured: Any) -> Any:
        return self.model.root

    def shares(self, measured: Any) -> Any:
        return measured.histogram(self.model)

    def release(self, private: Records, rho: float | None, generator: Any) -> Records:
        measured = self.measure(private, rho, generator)
        shares, patients = self.shares(measured)
        count = COPIES * max(1, round(patients))
        places = np.searchsorted(np.cumsum(shares), (np.arange(count) + generator.random()) / count)
        states = generator.permutation(np.minimum(places, len(shares) - 1))
        return self._records(states, measured, generator, [np.zeros(0, np.int64)] * count, private)

    def rows_of(self, private: Records, rho: float | None, generator: Any) -> Records:
        measured = self.measure(private, rho, generator)
        labels = private.labels
        known = np.where(
            np.isnan(labels), self.model.centre > generator.random(labels.shape), labels
        )
        states = states_of(known)
        members = [np.array([place]) for place in range(len(private))]
        made = self._records(states, measured, generator, members, private)
        return made.with_labels(labels.astype(np.float32))

    def _records(
        self, states: Any, measured: Any, generator: Any, members: Any, private: Records
    ) -> Records:
        drawn = self.draw(states, measured, generator).astype(np.float32)
        labels = self.model.patterns[states].astype(np.float32)
        return Records(drawn, labels, private.patients, tuple(members))

    def with_labels(self, public: Records) -> Fitted:
        own = public.with_array(public.array)
        model = LabelModel.fit(self.numbers(own), own.labels, own.patient_of_each())
        return replace(self, fitted=replace(self.fitted, model=model), public=own)

    @property
    def residuals(self) -> Any:
        """Public residuals, with the unit matrix as covariance, and their states."""
        states = states_of(self.public.labels)
        apart = self.numbers(self.public) - (self.model.design @ self.model.slopes)[states]
        return np.linalg.solve(self.model.root, apart.T).T, states


class Covariance(Synthesis):
    """Private second moments of the residuals correct the covariance, of low rank."""

    rank = 2
    part = 0.3

    def measure(self, private: Records, rho: float | None, generator: Any) -> Any:
        first = super().measure(private, rho and (1 - self.part) * rho, generator)
        states = states_of(private.labels)
        apart = self.numbers(private) - (self.model.design @ first.slopes(self.model))[states]
        apart = np.linalg.solve(self.model.root, apart.T).T
        size, bound = apart.shape[1], (math.sqrt(apart.shape[1]) + 1) ** 2
        apart *= np.minimum(1, math.sqrt(bound) / np.linalg.norm(apart, axis=1, keepdims=True))
        _, patient, images = np.unique(
            private.patient_of_each(), return_inverse=True, return_counts=True
        )
        weighted = apart / np.sqrt(images[patient])[:, None]
        square, deviation = noise((size, size), bound, rho and self.part * rho, generator)
        second = weighted.T @ weighted + (square + square.T) / 2
        self.found = second, deviation
        return first

    def root(self, measured: Any) -> Any:
        second, deviation = self.found
        patients = max(1.0, measured.counts.sum())
        change = second / patients - np.eye(len(second))
        values, vectors = np.linalg.eigh(change)
        chance = (
            2 * math.sqrt(len(second) / patients)
            + deviation * math.sqrt(2 * len(second)) / patients
        )
        kept = np.argsort(-np.abs(values))[: self.rank]
        shrunk = np.sign(values[kept]) * np.maximum(np.abs(values[kept]) - chance, 0)
        matrix = np.eye(len(second)) + (vectors[:, kept] * shrunk) @ vectors[:, kept].T
        return self.model.root @ np.linalg.cholesky(matrix + 1e-6 * np.eye(len(matrix)))


class FullCovariance(Covariance):
    """The same of full rank."""

    rank = 10**6


class Copula(Synthesis):
    """Residuals have the public marginals instead of normal ones."""

    def fresh(self, states: Any, measured: Any, generator: Any) -> Any:
        from scipy.stats import norm

        public, _ = self.residuals
        ranks = norm.cdf(super().fresh(states, measured, generator))
        columns = [np.quantile(public[:, k], ranks[:, k]) for k in range(public.shape[1])]
        return np.stack(columns, axis=1)


class PublicResiduals(Synthesis):
    """Residuals are those of public images, drawn with replacement, with a little noise."""

    def fresh(self, states: Any, measured: Any, generator: Any) -> Any:
        public, _ = self.residuals
        chosen = public[generator.integers(0, len(public), len(states))]
        width = 0.3
        wide = chosen + width * generator.standard_normal(chosen.shape)
        return wide / math.sqrt(1 + width**2)


class Mixture(Synthesis):
    """A mixture learned from public residuals; private counts of pattern and component."""

    parts = 3

    def measure(self, private: Records, rho: float | None, generator: Any) -> Any:
        from sklearn.mixture import GaussianMixture

        first = super().measure(private, rho and 0.7 * rho, generator)
        public, seen = self.residuals
        mixture = GaussianMixture(self.parts, covariance_type="tied", reg_covar=0.1, random_state=0)
        mixture.fit(public)
        states = states_of(private.labels)
        apart = self.numbers(private) - (self.model.design @ self.model.slopes)[states]
        likely = mixture.predict_proba(np.linalg.solve(self.model.root, apart.T).T)
        _, patient, images = np.unique(
            private.patient_of_each(), return_inverse=True, return_counts=True
        )
        counts = np.zeros((len(self.model.prior), self.parts))
        np.add.at(counts, states, likely / images[patient][:, None])
        more, _ = noise(counts.shape, 1.0, rho and 0.3 * rho, generator)
        before = np.zeros_like(counts)
        np.add.at(before, seen, mixture.predict_proba(public))
        counts = (counts + more).clip(0) + before + 0.5
        self.found = mixture, counts / counts.sum(1, keepdims=True)
        return first

    def fresh(self, states: Any, measured: Any, generator: Any) -> Any:
        mixture, shares = self.found
        cumulated = np.cumsum(shares[states], axis=1)
        part = (generator.random(len(states))[:, None] > cumulated).sum(1).clip(0, self.parts - 1)
        root = np.linalg.cholesky(mixture.covariances_)
        fresh = generator.standard_normal((len(states), len(root))) @ root.T
        return mixture.means_[part] + fresh

    def draw(self, states: Any, measured: Any, generator: Any) -> Any:
        seen = self.model.design[states]
        fresh = self.fresh(states, measured, generator)
        return seen @ measured.slopes(self.model) + (fresh - fresh.mean(0)) @ self.model.root.T


class PatternGraph(Synthesis):
    """Tables of pattern and quantized number, one for each number, joined by the pattern."""

    bins = 4
    strength = 6.0

    def measure(self, private: Records, rho: float | None, generator: Any) -> Any:
        first = super().measure(private, rho and 0.3 * rho, generator)
        public, own = self.numbers(self.public), self.numbers(private)
        size = own.shape[1]
        edges = np.quantile(public, np.linspace(0, 1, self.bins + 1)[1:-1], axis=0)
        before, _ = self._tables(self.public, public, edges)
        counts, longest = self._tables(private, own, edges)
        del longest
        more, _ = noise(counts.shape, math.sqrt(size), rho and 0.7 * rho, generator)
        prior = before + 0.2
        prior /= prior.sum(2, keepdims=True)
        counts = (counts + more).clip(0) + self.strength * prior
        self.found = edges, counts / counts.sum(2, keepdims=True), public
        return first

    def _tables(self, records: Records, numbers: Floats, edges: Floats) -> tuple[Floats, int]:
        states = states_of(records.labels)
        _, patient, images = np.unique(
            records.patient_of_each(), return_inverse=True, return_counts=True
        )
        counts = np.zeros((numbers.shape[1], len(self.model.prior), self.bins))
        for k in range(numbers.shape[1]):
            np.add.at(
                counts[k],
                (states, np.searchsorted(edges[:, k], numbers[:, k])),
                1 / images[patient],
            )
        return counts, numbers.shape[1]

    def draw(self, states: Any, measured: Any, generator: Any) -> Any:
        edges, shares, public = self.found
        drawn = np.zeros((len(states), len(shares)))
        for k, table in enumerate(shares):
            part = (generator.random(len(states))[:, None] > np.cumsum(table[states], 1)).sum(1)
            part = part.clip(0, self.bins - 1)
            where = np.searchsorted(edges[:, k], public[:, k])
            for each in range(self.bins):
                here = part == each
                drawn[here, k] = generator.choice(public[where == each, k], int(here.sum()))
        return drawn


class LowRankSlopes(Synthesis):
    """Private sums only in the span of the public slopes: a shorter bound, so less noise."""

    def measure(self, private: Records, rho: float | None, generator: Any) -> Any:
        model = self.model
        span = np.linalg.qr(np.linalg.solve(model.root, model.slopes[1:].T))[0]
        owners = private.patient_of_each()
        size = span.shape[1]
        apart_model = replace(model, slopes=np.zeros((len(model.slopes), size)), root=np.eye(size))
        states = states_of(private.labels)
        apart = self.numbers(private) - (model.design @ model.slopes)[states]
        small = np.linalg.solve(model.root, apart.T).T @ span
        counts, sums = contributions(apart_model, small, private.labels, owners)
        one, first = noise(counts.shape[1], 1.0, rho and 0.25 * rho, generator)
        two, second = noise(sums.shape[1], apart_model.bound, rho and 0.75 * rho, generator)
        narrow = (sums.sum(0) + two).reshape(len(model.slopes), size)
        self.found = span, apart_model
        return Measured(counts.sum(0) + one, narrow, (first, second))

    def draw(self, states: Any, measured: Any, generator: Any) -> Any:
        span, narrow = self.found
        seen = self.model.design[states]
        fresh = self.fresh(states, measured, generator)
        fresh -= seen @ np.linalg.lstsq(seen, fresh, rcond=None)[0]
        change = measured.slopes(narrow) @ span.T
        return seen @ (self.model.slopes + change @ self.model.root.T) + fresh @ self.model.root.T


class BesidePublic(Synthesis):
    """The recipient learns from the synthetic records and from the public images together."""

    def release(self, private: Records, rho: float | None, generator: Any) -> Records:
        made = super().release(private, rho, generator)
        own = self.represent(self.public.array)
        return Records.of(
            np.concatenate([made.array, np.tile(own, (COPIES, 1))]),
            np.concatenate([made.labels, np.tile(self.public.labels, (COPIES, 1))]),
            np.arange(len(made) + COPIES * len(own)).astype(np.str_),
        )


class Autoencoder(Synthesis):
    """Residuals from a variational autoencoder, given the labels, of public images."""

    latent, width, epochs = 4, 16, 200

    def fresh(self, states: Any, measured: Any, generator: Any) -> Any:
        network = self.network()
        import torch

        wanted = torch.tensor(self.model.design[states][:, 1:], dtype=torch.float32)
        with torch.no_grad():
            code = torch.tensor(generator.standard_normal((len(states), self.latent))).float()
            made = network.decode(torch.cat([code, wanted], 1))
            random = torch.tensor(generator.standard_normal(made.shape)).float()
            made = made + random * network.spread.exp()
        return made.numpy().astype(np.float64)

    def network(self) -> Any:
        """Learn from public residuals."""
        import torch

        public, seen = self.residuals
        torch.manual_seed(0)
        values = torch.tensor(public, dtype=torch.float32)
        given = torch.tensor(self.model.design[seen][:, 1:], dtype=torch.float32)
        network = conditional_autoencoder(values.shape[1], given.shape[1], self.latent, self.width)
        optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
        for _ in range(self.epochs):
            loss = network(values, given, torch.randn(len(values), self.latent)).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return network


def conditional_autoencoder(size: int, labels: int, latent: int, width: int) -> Any:
    """Return a variational autoencoder given labels; called, its loss of each vector."""
    import torch

    def layers(wide: int, narrow: int) -> Any:
        return torch.nn.Sequential(
            torch.nn.Linear(wide, width), torch.nn.Tanh(), torch.nn.Linear(width, narrow)
        )

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encode = layers(size + labels, 2 * latent)
            self.decode = layers(latent + labels, size)
            self.spread = torch.nn.Parameter(torch.zeros(size))

        def forward(self, values: Any, given: Any, random: Any) -> Any:
            mean, log = self.encode(torch.cat([values, given], -1)).chunk(2, -1)
            code = mean + random * (log / 2).exp()
            apart = (values - self.decode(torch.cat([code, given], -1))) / self.spread.exp()
            divergence = ((mean**2 + log.exp() - 1 - log) / 2).sum(-1)
            return (apart**2 / 2 + self.spread).sum(-1) + divergence

    return Network()


class PrivateAutoencoder(Autoencoder):
    """The autoencoder learns on from private patients, by gradients with noise (DP-SGD).

    All patients are in every step, each with the mean gradient of one image drawn for the fit and
    clipped to length 1: so steps add up as Gaussian sums, and there is no sampling to account for.
    arXiv:2507.02671 learns such a network from features.
    """

    steps, rate, part = 20, 0.05, 0.5

    def measure(self, private: Records, rho: float | None, generator: Any) -> Any:
        import torch
        from torch.func import functional_call, grad, vmap

        first = super().measure(private, rho and (1 - self.part) * rho, generator)
        network = self.network()
        _, places = np.unique(private.patient_of_each(), return_index=True)
        states = states_of(private.labels[places])
        apart = (
            self.numbers(private)[places] - (self.model.design @ first.slopes(self.model))[states]
        )
        apart = np.linalg.solve(self.model.root, apart.T).T
        values = torch.tensor(apart, dtype=torch.float32)
        given = torch.tensor(self.model.design[states][:, 1:], dtype=torch.float32)
        weights = {name: each.detach() for name, each in network.named_parameters()}
        each = vmap(
            grad(lambda own, x, y, random: functional_call(network, own, (x, y, random))),
            in_dims=(None, 0, 0, 0),
        )
        deviation = 0.0 if rho is None else math.sqrt(self.steps / (2 * self.part * rho))
        for _ in range(self.steps):
            random = torch.tensor(generator.standard_normal((len(values), self.latent))).float()
            slopes = each(weights, values, given, random)
            squares = torch.stack([s.flatten(1).square().sum(1) for s in slopes.values()])
            shorter = (1 / squares.sum(0).sqrt().clamp(min=1e-9)).clamp(max=1)
            for name, slope in slopes.items():
                total = torch.tensordot(shorter, slope, 1)
                total += deviation * torch.tensor(generator.standard_normal(total.shape)).float()
                weights[name] = weights[name] - self.rate * total / len(values)
        network.load_state_dict(weights)
        self.found = network
        return first

    def fresh(self, states: Any, measured: Any, generator: Any) -> Any:
        learned = self.found
        self.network = lambda: learned  # type: ignore[method-assign]
        drawn = super().fresh(states, measured, generator)
        del self.__dict__["network"]
        return drawn


class NoisyMixture(Mixture):
    """Expectation maximization on private patients, with noise on every sum (DP-EM)."""

    rounds, part, prior = 3, 0.4, 30.0

    def measure(self, private: Records, rho: float | None, generator: Any) -> Any:
        from sklearn.mixture import GaussianMixture

        first = Synthesis.measure(self, private, rho and (1 - self.part) * rho, generator)
        public, _ = self.residuals
        mixture = GaussianMixture(self.parts, covariance_type="tied", reg_covar=0.1, random_state=0)
        mixture.fit(public)
        states = states_of(private.labels)
        apart = self.numbers(private) - (self.model.design @ first.slopes(self.model))[states]
        apart = np.linalg.solve(self.model.root, apart.T).T
        bound = math.sqrt(apart.shape[1]) + 1
        apart *= np.minimum(1, bound / np.linalg.norm(apart, axis=1, keepdims=True))
        images = np.unique(private.patient_of_each(), return_inverse=True, return_counts=True)
        each = 1 / images[2][images[1]]
        means, weights = mixture.means_.copy(), mixture.weights_.copy()
        own = rho and self.part * rho / self.rounds
        for _ in range(self.rounds):
            mixture.means_, mixture.weights_ = means, weights
            likely = mixture.predict_proba(apart) * each[:, None]
            # one vector for each patient: memberships, and numbers in units of their bound
            whole = np.column_stack(
                [likely, *(likely[:, [k]] * apart / bound for k in range(self.parts))]
            )
            more, _ = noise(whole.shape[1], math.sqrt(2), own, generator)
            sums = whole.sum(0) + more
            counts = sums[: self.parts].clip(1e-6)
            vectors = sums[self.parts :].reshape(self.parts, -1) * bound
            means = (vectors + self.prior * means) / (counts + self.prior)[:, None]
            weights = (counts + self.prior * weights) / (counts + self.prior * weights).sum()
        mixture.means_, mixture.weights_ = means, weights
        self.found = mixture, np.tile(weights, (len(self.model.prior), 1))
        return first
