"""log p along the probability-flow ODE, against densities that are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from diffusion_problems import PREDICTIONS, SCHEDULES, Gaussian, Mixture, ends, slopes
from semilinear import InvalidArgument, ModelOutputError, NonFiniteError, UnknownName
from semilinear.diffusion import EDM, Flow, SeededNoise, VPLinear, likelihood
from semilinear.diffusion.likelihood import LogLikelihood, log_likelihood
from tolerances import assert_close, to_numpy

VP = VPLinear()
GAUSSIAN, MIXTURE = Gaussian(), Mixture()


def gaussian_log_p(x: Any, alpha: float, sigma: float) -> Any:
    variance = alpha**2 * np.array(GAUSSIAN.variance) + sigma**2
    away = x - alpha * np.array(GAUSSIAN.mean)
    return -0.5 * (away**2 / variance + np.log(2 * np.pi * variance)).sum(-1)


def mixture_log_p(x: Any, alpha: float, sigma: float) -> Any:
    total = alpha**2 * MIXTURE.variance + sigma**2
    away = x[..., None, :] - alpha * np.array(MIXTURE.means)
    exponents = np.log(MIXTURE.masses) - (away**2).sum(-1) / (2 * total)
    return np.logaddexp.reduce(exponents, axis=-1) - np.log(2 * np.pi * total)


def gaussian_model(schedule, prediction="eps"):
    """The exact model with its derivative, which differences give: it is affine."""
    model = GAUSSIAN.model(schedule, prediction)
    return lambda x, t: (model(x, t), lambda v: model(x + v, t) - model(x, t))


def mixture_model(schedule):
    """eps with its Jacobian ``(1 - (alpha / sigma)^2 Cov[x_0 | x]) / sigma``."""

    def model(x, t):
        alpha, sigma = schedule.alpha(t), schedule.sigma(t)
        total = alpha**2 * MIXTURE.variance + sigma**2
        away = x[..., None, :] - alpha * np.array(MIXTURE.means)
        exponents = np.log(MIXTURE.masses) - (away**2).sum(-1) / (2 * total)
        share = np.exp(exponents - np.logaddexp.reduce(exponents, axis=-1)[..., None])
        parts = np.array(MIXTURE.means) + alpha * MIXTURE.variance / total * away
        parts = parts - (share[..., None] * parts).sum(-2)[..., None, :]
        covariance = np.einsum("nk,nki,nkj->nij", share, parts, parts)
        covariance += MIXTURE.variance * sigma**2 / total * np.eye(2)
        jacobian = (np.eye(2) - (alpha / sigma) ** 2 * covariance) / sigma
        return MIXTURE.noise(x, alpha, sigma), lambda v: np.einsum("nij,nj->ni", jacobian, v)

    return model


def mixture_samples(schedule, count=50, t=None):
    rng = np.random.default_rng(0)
    means = np.array(MIXTURE.means)[(rng.random(count) > MIXTURE.masses[0]).astype(int)]
    x_0 = means + np.sqrt(MIXTURE.variance) * rng.standard_normal((count, 2))
    t = ends(schedule)[1] if t is None else t
    return schedule.alpha(t) * x_0 + schedule.sigma(t) * rng.standard_normal((count, 2))


def of_mixture(schedule, **options: Any) -> tuple[LogLikelihood, np.ndarray]:
    """Return the answer, and its errors, from the exact density at t_start."""
    t_start, t_end = ends(schedule)
    x = mixture_samples(schedule)

    def prior(latent):
        return mixture_log_p(latent, schedule.alpha(t_start), schedule.sigma(t_start))

    found = log_likelihood(
        mixture_model(schedule),
        x,
        schedule,
        prior=prior,
        t_start=t_start,
        t_end=t_end,
        **{"divergence": "exact", **options},
    )
    return found, found.log_p - mixture_log_p(x, schedule.alpha(t_end), schedule.sigma(t_end))


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_mixture_at_72_evaluations(name):
    found, errors = of_mixture(SCHEDULES[name])
    assert found.nfe == 72
    assert np.abs(errors).max() < 0.02
    # A seventh of that, where the log-SNR spans the most; measured 0.0027.
    assert np.sqrt((errors**2).mean()) < 0.003
    found, errors = of_mixture(SCHEDULES[name], method="logrhoab3", nfe=72)
    assert np.sqrt((errors**2).mean()) < 0.012


def test_a_flow_path_needs_no_ends():
    """Data as they are, whose density differs little from that at t_end = 0.0009."""
    schedule = Flow()
    x = mixture_samples(schedule, 100, t=0.0)
    found = log_likelihood(mixture_model(schedule), x, schedule, divergence="exact")
    assert found.nfe == 72
    last = schedule.t_of_lam(7.0)
    at_end = mixture_log_p(x, schedule.alpha(last), schedule.sigma(last))
    # The prior is normal at t_start, where the means have moved by 0.001.
    assert np.abs(found.log_p - at_end).max() < 0.005
    assert np.abs(found.log_p - mixture_log_p(x, 1.0, 0.0)).max() < 0.02


@pytest.mark.parametrize("name", SCHEDULES)
def test_eight_entries_at_72_evaluations(name):
    schedule = SCHEDULES[name]
    t_start, t_end = ends(schedule)
    alpha, sigma = schedule.alpha(t_end), schedule.sigma(t_end)
    variance = np.geomspace(0.02, 2.0, 8)
    x = np.random.default_rng(2).standard_normal((20, 8)) * np.sqrt(alpha**2 * variance + sigma**2)

    def model(x, t):
        slope = schedule.sigma(t) / (schedule.alpha(t) ** 2 * variance + schedule.sigma(t) ** 2)
        return slope * x, lambda v: slope * v

    prior = np.sqrt(schedule.alpha(t_start) ** 2 * variance + schedule.sigma(t_start) ** 2)
    found = log_likelihood(
        model,
        x,
        schedule,
        t_start=t_start,
        t_end=t_end,
        divergence="exact",
        prior=lambda y: _normal(y, prior**2),
    )
    errors = found.log_p - _normal(x, alpha**2 * variance + sigma**2)
    assert np.sqrt((errors**2).mean()) < 0.02


def _normal(x, variance):
    return -0.5 * (x**2 / variance + np.log(2 * np.pi * variance)).sum(-1)


def test_the_default_budget_holds_for_every_method():
    x = np.ones((2, 3))
    for method in ("logrhoab3", "rho_heun2", "rho_kutta3", "rho_rk4"):
        assert log_likelihood(gaussian_model(VP), x, VP, method=method, seed=0).nfe == 72


@pytest.mark.parametrize("name", ["vp_linear", "edm", "vp_cosine", "ve"])
def test_a_multistep_method_at_36_evaluations(name):
    found, errors = of_mixture(SCHEDULES[name], method="logrhoab3", nfe=36)
    assert found.nfe == 36
    assert np.abs(errors).max() < 0.02


@pytest.mark.parametrize(
    ("method", "start", "order", "counts"),
    [
        ("ddim", "ramp", 1, (160, 320, 640)),
        ("rho_heun2", "ramp", 2, (40, 80, 160)),
        ("rho_kutta3", "ramp", 3, (40, 80, 160)),
        ("rho_rk4", "ramp", 4, (40, 80, 160)),
        ("logrhoab3", "rk", 4, (80, 160, 320)),
    ],
)
def test_the_error_falls_at_the_order_of_the_method(method, start, order, counts):
    errors = [np.abs(of_mixture(VP, method=method, start=start, steps=n)[1]).mean() for n in counts]
    for slope in slopes(errors):
        assert order - 0.4 <= slope <= order + 1.3


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("name", ["vp_linear", "edm", "flow", "ddpm_linear"])
def test_every_prediction_gives_the_same_density(name, prediction):
    schedule = SCHEDULES[name]
    t_start, t_end = ends(schedule)
    x = np.array([[0.2, -0.7, 2.0], [0.5, 0.1, 0.4]])
    found = log_likelihood(
        gaussian_model(schedule, prediction),
        x,
        schedule,
        method="rho_rk4",
        steps=60,
        prediction=prediction,
        t_start=t_start,
        t_end=t_end,
        divergence="exact",
        prior=lambda y: gaussian_log_p(y, schedule.alpha(t_start), schedule.sigma(t_start)),
    )
    expected = gaussian_log_p(x, schedule.alpha(t_end), schedule.sigma(t_end))
    np.testing.assert_allclose(found.log_p, expected, atol=2e-3)
    exact = GAUSSIAN.flow(schedule, x, t_end, t_start)
    assert np.abs(found.latent - exact).max() < 2e-3 * schedule.sigma(t_start)


def test_predictions_are_read_out_exactly():
    x = np.array([[0.2, -0.7, 2.0], [0.5, 0.1, 0.4]])
    found = [
        log_likelihood(gaussian_model(VP, each), x, VP, prediction=each, steps=8, seed=0).log_p
        for each in PREDICTIONS
    ]
    for log_p in found[1:]:
        np.testing.assert_allclose(log_p, found[0], rtol=1e-9)


def test_the_density_of_any_model_has_mass_one():
    # No model of any data: the change of variables alone makes it a density.
    def model(x, t):
        wave = np.sin(3 * x + t) / 4
        return x / 2 + wave, lambda v: v / 2 + np.cos(3 * x + t) * 3 / 4 * v

    x = np.linspace(-12, 12, 2001)[:, None]
    found = log_likelihood(
        model, x, EDM(), t_end=0.1, t_start=3.0, method="rho_rk4", steps=60, divergence="exact"
    )
    assert np.exp(found.log_p).sum() * (x[1, 0] - x[0, 0]) == pytest.approx(1.0, abs=1e-5)


def test_a_model_may_return_one_buffer_again_and_again():
    x, model, buffer = mixture_samples(VP), mixture_model(VP), np.empty((50, 2))

    def reusing(x, t):
        answer, product = model(x, t)
        buffer[...] = answer
        return buffer, product

    expected = log_likelihood(model, x, VP, steps=20, divergence="exact").log_p
    found = log_likelihood(reusing, x, VP, steps=20, divergence="exact").log_p
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("divergence", ["exact", "hutchinson"])
@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_a_model_and_its_product_may_work_in_what_they_are_given(library, divergence):
    xp = pytest.importorskip(library)
    x = xp.asarray(mixture_samples(VP))

    def model(x, t):
        return VP.sigma(t) * x, lambda v: VP.sigma(t) * v

    def in_place(x, t):
        def product(v):
            v *= VP.sigma(t)
            return v

        x *= VP.sigma(t)
        return x, product

    options = {"steps": 20, "divergence": divergence, "seed": 1}
    expected = log_likelihood(model, x, VP, **options).log_p
    assert (log_likelihood(in_place, x, VP, **options).log_p == expected).all()
    assert np.array_equal(x, mixture_samples(VP))


def test_samples_without_further_axes():
    x = np.linspace(-1, 1, 5)
    one = log_likelihood(lambda x, t: (x / 2, lambda v: v / 2), x, VP, seed=0)
    two = log_likelihood(lambda x, t: (x / 2, lambda v: v / 2), x[:, None], VP, seed=0)
    np.testing.assert_allclose(one.log_p, two.log_p, rtol=1e-13)
    assert one.log_p.shape == (5,)


@pytest.mark.parametrize("shape", [(2, 0), (0, 3), (0, 0), (2, 3, 0)])
@pytest.mark.parametrize("divergence", ["exact", "hutchinson"])
def test_empty_samples(xp, shape, divergence):
    x = xp.asarray(np.empty(shape, np.float32))
    found = log_likelihood(lambda x, t: (x, lambda v: v), x, VP, steps=4, divergence=divergence)
    assert type(found.log_p) is type(x)
    assert np.array_equal(to_numpy(found.log_p), np.zeros(shape[0]))


def test_rademacher_probes_are_exact_for_diagonal_jacobians():
    x = np.array([[0.2, -0.7, 2.0], [0.5, 0.1, 0.4]])
    exact = log_likelihood(gaussian_model(VP), x, VP, divergence="exact")
    probed = log_likelihood(gaussian_model(VP), x, VP, seed=3, probes=3)
    np.testing.assert_allclose(probed.log_p, exact.log_p, rtol=1e-12)
    assert (probed.standard_error < 1e-10).all()
    assert exact.standard_error is None
    np.testing.assert_array_equal(probed.latent, exact.latent)


@pytest.mark.parametrize("distribution", ["rademacher", "normal"])
def test_estimates_are_unbiased_and_know_their_scatter(distribution):
    exact, _ = of_mixture(VP)
    options = {"divergence": "hutchinson", "distribution": distribution, "seed": 5}
    found, _ = of_mixture(VP, probes=100, **options)
    scores = (found.log_p - exact.log_p) / found.standard_error
    # 50 independent samples: their scores have mean 0 and variance 1 within five deviations.
    assert abs(scores.mean()) < 5 / np.sqrt(50)
    assert 0.5 < (scores**2).mean() < 2.0


def test_the_standard_error_is_that_of_a_mean():
    found = likelihood._result([np.array([[1.0, 3.0], [2.0, 2.0]])], latent=None, nfe=0)
    np.testing.assert_allclose(found.log_p, [2.0, 2.0])
    np.testing.assert_allclose(found.standard_error, [1.0, 0.0])


def test_a_product_with_the_jacobian_from_the_other_side_will_do():
    matrix = np.array([[0.3, 0.5], [-0.2, 0.1]])
    x = np.random.default_rng(0).standard_normal((3, 2))
    found = [
        log_likelihood(lambda x, t, m=m: (x @ matrix.T, lambda v: v @ m), x, VP, seed=1).log_p
        for m in (matrix, matrix.T)
    ]
    np.testing.assert_allclose(found[0], found[1], rtol=1e-12)


def test_a_sample_depends_on_its_own_seed_alone():
    model, x = mixture_model(VP), mixture_samples(VP, 6)
    whole = log_likelihood(model, x, VP, seed=list(range(6)), probes=2)
    part = log_likelihood(model, x[2:5], VP, seed=[2, 3, 4], probes=2)
    np.testing.assert_array_equal(part.log_p, whole.log_p[2:5])
    again = log_likelihood(model, x, VP, seed=11)
    assert (log_likelihood(model, x[:2], VP, seed=11).log_p == again.log_p[:2]).all()
    assert (log_likelihood(model, x, VP, seed=12).log_p != again.log_p).any()


@pytest.mark.parametrize("distribution", ["normal", "rademacher"])
def test_probes_are_those_of_the_seeded_noise(distribution):
    seen = []

    def model(x, t):
        return 0 * x, lambda v: seen.append(v) or 0 * v

    x = np.zeros((30, 2))
    log_likelihood(model, x, VP, steps=2, seed=7, probes=2, distribution=distribution)
    noise = SeededNoise(7, x)
    expected = np.array([noise(0, 0), noise(0, 1)] * 2)
    if distribution == "rademacher":
        expected = np.sign(expected)
    np.testing.assert_array_equal(seen, expected)


@pytest.mark.parametrize("steps", [24, 25])
def test_the_error_estimate_covers_the_error(steps):
    options = {"method": "rho_kutta3", "steps": steps}
    found, errors = of_mixture(VP, estimate_error=True, **options)
    assert found.nfe == 3 * steps + 3 * ((steps + 1) // 2)
    assert (np.abs(errors) <= found.error).mean() > 0.9
    assert (found.error < 30 * np.abs(errors).mean()).all()
    plain, _ = of_mixture(VP, **options)
    np.testing.assert_array_equal(found.log_p, plain.log_p)
    assert plain.error is None


def test_so_it_does_for_the_default_method():
    found, errors = of_mixture(VP, estimate_error=True)
    assert found.nfe == 72 + 36
    assert (np.abs(errors) <= found.error).mean() > 0.9


def test_the_error_is_the_difference_from_half_the_steps():
    options = {"steps": 10, "grid": "uniform", "seed": 1}
    model, x = mixture_model(VP), mixture_samples(VP, 4)
    found = log_likelihood(model, x, VP, estimate_error=True, **options)
    other = log_likelihood(model, x, VP, **{**options, "steps": 5})
    np.testing.assert_allclose(found.error, np.abs(found.log_p - other.log_p), rtol=1e-10)


def test_an_explicit_grid_is_taken():
    times = np.linspace(1, 1e-3, 9)
    one = log_likelihood(gaussian_model(VP), np.ones((2, 3)), VP, grid=times, seed=0)
    two = log_likelihood(gaussian_model(VP), np.ones((2, 3)), VP, grid="uniform", steps=8, seed=0)
    np.testing.assert_allclose(one.log_p, two.log_p, rtol=1e-12)


def test_the_prior_is_normal_with_the_noise_of_the_start():
    x = np.array([[1.0, -2.0]])
    zero = (lambda x, t: (0 * x, lambda v: 0 * v), x, EDM())
    expected = -0.5 * (5 / 80**2) - np.log(2 * np.pi * 80**2)
    assert log_likelihood(*zero).log_p == pytest.approx(expected, rel=1e-13)
    expected = -0.5 * (5 / 9) - np.log(2 * np.pi * 9)
    assert log_likelihood(*zero, prior=3.0).log_p == pytest.approx(expected, rel=1e-13)


def test_bits_per_dim():
    found = LogLikelihood(np.array([-12.0]), np.zeros((1, 2, 3)), 1, None, None)
    assert found.bits_per_dim() == pytest.approx(2 / np.log(2))
    assert found.bits_per_dim(offset=7.0) == pytest.approx(2 / np.log(2) + 7)
    # Uniform levels of [-1, 1]: 8 bits, whatever is known of x.
    uniform = LogLikelihood(np.array([3 * np.log(0.5)]), np.zeros((1, 3)), 1, None, None)
    assert uniform.bits_per_dim(offset=np.log2(256 / 2)) == pytest.approx(8.0)


def test_densities_are_added_up_in_double_precision():
    x = np.full((2, 400), 0.25)
    scale = {"prior": 1.0, "seed": 0}
    model = gaussian_like(0.25)
    double = log_likelihood(model, x, VP, **scale)
    single = log_likelihood(model, x.astype(np.float32), VP, **scale)
    assert single.log_p.dtype == np.float64
    assert single.latent.dtype == np.float32
    # Of single precision are x and the slopes, which is all that the trace sees.
    np.testing.assert_allclose(single.log_p, double.log_p, rtol=1e-5)


def gaussian_like(variance):
    """eps of centred normal data, in the precision of x."""

    def model(x, t):
        slope = VP.sigma(t) / (VP.alpha(t) ** 2 * variance + VP.sigma(t) ** 2)
        return slope * x, lambda v: slope * v

    return model


def test_every_array_library(xp):
    x = np.random.default_rng(0).standard_normal((3, 2, 2))
    options: dict[str, Any] = {"steps": 6, "probes": 2, "estimate_error": True, "seed": 4}
    mine = log_likelihood(gaussian_like(0.25), xp.asarray(x), VP, **options)
    theirs = log_likelihood(gaussian_like(0.25), x, VP, **options)
    for name in ("log_p", "latent", "error", "standard_error"):
        found = getattr(mine, name)
        assert type(found) is type(xp.asarray(x))
        assert_close(found, getattr(theirs, name), operations=200, scale=20.0)
    exact = log_likelihood(gaussian_like(0.25), xp.asarray(x), VP, steps=6, divergence="exact")
    assert_close(exact.log_p, theirs.log_p, operations=200)


def test_jax_models_need_no_adapter():
    jax = pytest.importorskip("jax")
    x = np.random.default_rng(0).standard_normal((3, 2)).astype(np.float32)

    def network(x, t):
        return jax.numpy.tanh(x) * t

    def slope(x, t):
        return (1 - np.tanh(x) ** 2) * np.float32(t)

    options: dict[str, Any] = {"steps": 6, "seed": 0}
    expected = log_likelihood(
        lambda x, t: (np.tanh(x) * np.float32(t), lambda v: slope(x, t) * v), x, VP, **options
    )
    pulled = log_likelihood(
        lambda x, t: jax.vjp(lambda x: network(x, t), x), jax.numpy.asarray(x), VP, **options
    )
    pushed = log_likelihood(
        lambda x, t: jax.linearize(lambda x: network(x, t), x), jax.numpy.asarray(x), VP, **options
    )
    np.testing.assert_allclose(pulled.log_p, expected.log_p, rtol=2e-5)
    np.testing.assert_allclose(pushed.log_p, expected.log_p, rtol=2e-5)


def test_a_prior_may_be_zero_somewhere():
    found = log_likelihood(good, np.ones((2, 3)), VP, prior=lambda y: np.array([0.0, -np.inf]))
    assert np.isfinite(found.log_p[0])
    assert found.log_p[1] == -np.inf


def good(x, t):
    return x / 2, lambda v: v / 2


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"method": "dpmpp_2m"}, InvalidArgument, r"method='dpmpp_2m' has N = x0"),
        ({"method": "euler"}, InvalidArgument, "N = velocity"),
        ({"method": "flow_ab2"}, InvalidArgument, "N = flow"),
        ({"method": "euler_ancestral"}, InvalidArgument, "method='euler_ancestral' adds noise"),
        ({"method": "tabb"}, UnknownName, "method='tabb'"),
        ({"divergence": "huchinson"}, UnknownName, "divergence='huchinson'"),
        ({"distribution": "gauss"}, UnknownName, "distribution='gauss'"),
        ({"probes": 0}, InvalidArgument, "probes=0"),
        ({"probes": 2, "divergence": "exact"}, InvalidArgument, "probes=2: .*exact"),
        ({"prior": -1.0}, InvalidArgument, "prior=-1.0 must be a positive"),
        ({"prior": "normal"}, InvalidArgument, "prior='normal'"),
        ({"prior": lambda y: y}, ModelOutputError, r"prior returned shape \(2, 3\)"),
        ({"prior": lambda y: 0.0}, ModelOutputError, "prior returned float"),
        ({"prior": lambda y: np.full(2, np.nan)}, NonFiniteError, "prior returned NaN"),
        (
            {"model": lambda x, t: (x, lambda v: v.astype("float32"))},
            ModelOutputError,
            r"Jacobian at evaluation 1 of 72 .*dtype float32.* shape \(2, 3\) and dtype float64",
        ),
        ({"model": lambda x, t: (x, lambda v: v + 0j)}, ModelOutputError, "dtype complex128"),
        ({"steps": 1, "estimate_error": True}, InvalidArgument, "estimate_error"),
        ({"steps": 4, "nfe": 4}, InvalidArgument, "steps or nfe"),
        ({"seed": -1}, InvalidArgument, "seed=-1"),
        ({"x": np.ones(())}, InvalidArgument, "x has no axis"),
        ({"x": np.ones((2, 3), complex)}, InvalidArgument, "x has dtype complex128"),
        ({"x": [1.0]}, InvalidArgument, "x must be an array"),
        (
            {"schedule": Flow(), "grid": "uniform", "t_start": 1.0},
            InvalidArgument,
            "t_start=1, t_end=0.000911.* such as t_start=0.9991, t_end=0.00091",
        ),
        ({"schedule": Flow(), "t_end": 0.0}, InvalidArgument, "grid: rho is 0.0 at t=0"),
        ({"model": None}, InvalidArgument, r"model=None must be callable as model\(x, t\)"),
        ({"prior": True}, InvalidArgument, "prior=True must be a positive"),
        ({"model": lambda x, t: x}, ModelOutputError, r"evaluation 1 of 72 .* ndarray.*pair"),
        ({"model": lambda x, t: (x, x)}, ModelOutputError, "pair"),
        ({"model": lambda x, t: (x[:1], good)}, ModelOutputError, r"evaluation 1 of 72 "),
        (
            {"model": lambda x, t: (x, lambda v: v[:1])},
            ModelOutputError,
            r"Jacobian at evaluation 1 of 72 .*shape \(1, 3\).*\(2, 3\)",
        ),
        (
            {"model": lambda x, t: (x, lambda v: v * np.inf)},
            NonFiniteError,
            r"Jacobian at evaluation 1 of 72",
        ),
    ],
)
def test_misuse(options, error, message):
    given = {"model": good, "x": np.ones((2, 3)), "schedule": VP, **options}
    with pytest.raises(error, match=message):
        log_likelihood(**given)
