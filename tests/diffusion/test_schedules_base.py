"""What all noise schedules share: types, domains, refusals, and the formulas a new one inherits."""

from __future__ import annotations

import copy
import dataclasses
import pickle

import numpy as np
import pytest

from semilinear import diffusion, methods
from semilinear.diffusion.quantities import QUANTITIES
from semilinear.diffusion.schedule_checks import check_schedule
from semilinear.diffusion.schedules import (
    EDM,
    SCHEDULES,
    VE,
    Flow,
    NoiseSchedule,
    SubVP,
    VPCosine,
    VPLinear,
)
from semilinear.errors import InvalidArgument

EPS = float(np.finfo(np.float64).eps)
ALL = [make() for make in SCHEDULES.values()]
OF_TIME = ("alpha", "log_alpha", "sigma", "rho", "lam", "drift", "diffusion_squared")
OF_LAM = ("t_of_lam", "alpha_of_lam", "sigma_of_lam")


@pytest.mark.parametrize("schedule", ALL, ids=repr)
def test_scalars_give_floats_and_arrays_give_new_float64_arrays(schedule):
    t = np.array([[0.25, 0.5, 0.75], [0.125, 0.875, 1.0]])
    lam = schedule.lam(t[:, :2])
    calls = [(name, t) for name in OF_TIME]
    calls += [("t_of_rho", schedule.rho(t)), *((name, lam) for name in OF_LAM)]
    for name, values in calls:
        method = getattr(schedule, name)
        result = method(values)
        assert isinstance(result, np.ndarray)
        assert (result.dtype, result.shape) == (np.float64, values.shape)
        assert not np.shares_memory(result, values)
        np.testing.assert_array_equal(method(values.tolist()), result)
        scalar = method(float(values[0, 1]))
        assert type(scalar) is float
        assert scalar == pytest.approx(result[0, 1], rel=8 * EPS, abs=8 * EPS)
        assert type(method(values[0, 1])) is float
        assert isinstance(method(np.array(values[0, 1])), np.ndarray)
        assert method(np.empty((0, 3))).shape == (0, 3)
    half = t.astype(np.float16)  # its values are exact in every format
    np.testing.assert_array_equal(schedule.alpha(half), schedule.alpha(t))
    assert schedule.alpha(1) == schedule.alpha(np.int32(1)) == schedule.alpha(np.float32(1.0))


@pytest.mark.parametrize("schedule", ALL, ids=repr)
def test_schedules_are_immutable_values(schedule):
    before = hash(schedule), schedule.lam_breaks, schedule.t_of_lam(schedule.lam(0.5))
    for twin in (pickle.loads(pickle.dumps(schedule)), copy.deepcopy(schedule)):
        assert twin == schedule
        assert hash(twin) == before[0]
        np.testing.assert_array_equal(twin.lam_breaks, before[1])
        assert not twin.lam_breaks.flags.writeable
    for field in dataclasses.fields(schedule):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(schedule, field.name, 0.5)


def test_schedules_with_other_parameters_differ():
    many = [*ALL, VPLinear(0.1, 19.0), VE(0.01), EDM(0.01), VPCosine(0.0), VPCosine(final=0.9)]
    assert len(set(many)) == len(many)
    assert VPLinear(1, 20) == VPLinear(1.0, np.float64(20.0))


@pytest.mark.parametrize("schedule", ALL, ids=repr)
def test_a_rounding_error_outside_the_domain_is_its_end(schedule):
    t_max = schedule.t_start if np.isinf(schedule.t_max) else schedule.t_max
    assert schedule.alpha(-EPS) == schedule.alpha([-EPS])[0] == schedule.alpha(0.0)
    if np.isfinite(schedule.t_max):
        assert schedule.sigma(t_max * (1.0 + 4.0 * EPS)) == schedule.sigma(t_max)
        rho = schedule.rho(t_max)
        assert schedule.t_of_rho(np.nextafter(rho, np.inf)) == pytest.approx(t_max, rel=4 * EPS)
        assert schedule.t_of_rho(rho * (1.0 + 8.0 * EPS)) <= t_max
        assert schedule.t_of_lam(schedule.lam(t_max) - 8.0 * EPS) <= t_max


@pytest.mark.parametrize(
    "schedule", [s for s in ALL if np.isfinite(s.t_max) and np.isfinite(s.rho(s.t_max))], ids=repr
)
def test_a_rounding_of_single_precision_outside_the_domain_is_its_end(schedule):
    t_max = schedule.t_max
    rho = np.nextafter(np.float32(schedule.rho(t_max)), np.float32(np.inf))
    assert rho > schedule.rho(t_max)
    assert schedule.t_of_rho(rho) == pytest.approx(t_max, rel=4 * EPS)
    assert schedule.t_of_rho(np.array([rho]))[0] == schedule.t_of_rho(rho)
    with pytest.raises(InvalidArgument, match="lies outside the domain"):
        schedule.t_of_rho(float(rho))


@pytest.mark.parametrize("schedule", ALL, ids=repr)
@pytest.mark.parametrize("name", [*OF_TIME, "t_of_rho", *OF_LAM])
def test_nan_and_what_is_no_number_are_refused(schedule, name):
    method = getattr(schedule, name)
    argument = {"t_of_rho": "rho", **dict.fromkeys(OF_LAM, "lam")}.get(name, "t")
    with pytest.raises(InvalidArgument, match=f"{argument}=nan lies outside the domain"):
        method(np.nan)
    for value in ("0.5", None, True, 0.5j, [[0.5], [0.5, 0.5]], np.array(["a"]), object()):
        with pytest.raises(InvalidArgument, match=argument):
            method(value)


@pytest.mark.parametrize("schedule", ALL, ids=repr)
def test_values_outside_the_domain_are_refused(schedule):
    with pytest.raises(InvalidArgument, match=r"t=-0\.001 lies outside the domain \[0\.0, "):
        schedule.alpha(-1e-3)
    with pytest.raises(InvalidArgument, match=r"rho=-1\.0 lies outside the domain"):
        schedule.t_of_rho(-1.0)
    if np.isfinite(schedule.t_max):
        with pytest.raises(InvalidArgument, match=r"t=.* \(value 1 of 2\) lies outside"):
            schedule.sigma([0.5, schedule.t_max * (1.0 + 1e-9)])
    low, high = schedule.lam(schedule.t_max), schedule.lam(schedule.t_min)
    for lam in (low - 1e-9, high + 1e-9):
        if np.isfinite(lam):
            with pytest.raises(InvalidArgument, match=r"lam=.* lies outside the domain"):
                schedule.t_of_lam(lam)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: VPLinear(0.0), "0 < beta_min <= beta_max"),
        (lambda: VPLinear(1e-4, 0.02), r"little noise.* give 0\.1 and 20, or take Discrete"),
        (lambda: SubVP(1e-4, 0.02), r"little noise.* give 0\.1 and 20, or take Discrete"),
        (lambda: VPLinear(0.1, 0.3), "little noise"),
        (lambda: VPLinear(20.0, 0.1), "0 < beta_min <= beta_max"),
        (lambda: VPLinear(1.0, 1401.0), "too small for float64"),
        (lambda: VPLinear(beta_max=np.nan), "beta_max=nan must be a finite number"),
        (lambda: SubVP("0.1"), "beta_min='0.1' must be a finite number"),
        (lambda: SubVP(True), "beta_min=True must be a finite number"),
        (lambda: VPCosine(-0.1), "0 <= s < 1"),
        (lambda: VPCosine(1.0), "0 <= s < 1"),
        (lambda: VPCosine(final=0.0), "0 < final <= 1"),
        (lambda: VPCosine(final=1.5), "0 < final <= 1"),
        (lambda: VPCosine(normalised="no"), "True or False"),
        (lambda: VE(0.0, 1.0), "0 < sigma_min < sigma_max"),
        (lambda: VE(1e-300, 1e300), "sigma_max / sigma_min is beyond the range of float64"),
        (lambda: VE(1.0, np.inf), "sigma_max=inf must be a finite number"),
        (lambda: EDM(1.0, 1.0), "0 < sigma_min < sigma_max"),
    ],
)
def test_parameters_that_make_no_schedule_are_refused(make, match):
    with pytest.raises(InvalidArgument, match=match):
        make()


@pytest.mark.parametrize("kind", [VPLinear, SubVP])
def test_rates_just_inside_of_the_limits_make_a_schedule(kind):
    assert kind(0.1, 0.35).rho(1.0) > 0.2
    assert 1e150 < kind(1.0, 1399.0).rho(1.0) < np.inf


@dataclasses.dataclass(frozen=True)
class MinimalFlow(NoiseSchedule):
    """`Flow` by the formulas that a new schedule must give."""

    def _log_alpha(self, t):
        return np.log1p(-t)

    def _sigma(self, t):
        return +t

    def _lam(self, t):
        return np.log1p(-t) - np.log(t)

    def _t_of_lam(self, lam):
        return 1.0 / (1.0 + np.exp(lam))

    def _drift(self, t):
        return -1.0 / (1.0 - t)

    def _diffusion_squared(self, t):
        return 2.0 * t / (1.0 - t)


class InnerFlow(MinimalFlow):
    t_min, t_max = 0.1, 0.9


def test_a_schedule_that_ends_says_what_leads_beyond():
    for scale in (InnerFlow().alpha_of_lam, InnerFlow().sigma_of_lam):
        assert np.isfinite(scale([-2.1, 2.1])).all()
        with pytest.raises(InvalidArgument, match=r"from 0 to 2.3 .*InnerFlow.*_alpha_of_lam"):
            scale([0.0, 2.3])


def test_a_new_schedule_inherits_what_it_does_not_define():
    new, flow = MinimalFlow(), Flow()
    t = np.linspace(0.0, 1.0, 101)
    inside = t[1:-1]
    for name in ("alpha", "sigma", "rho", "lam", "drift"):
        values = getattr(flow, name)(inside)
        np.testing.assert_allclose(getattr(new, name)(inside), values, rtol=16 * EPS)
    np.testing.assert_allclose(new.t_of_rho(flow.rho(t)), t, rtol=16 * EPS)
    lam = flow.lam(t)
    np.testing.assert_allclose(new.alpha_of_lam(lam), 1.0 - t, rtol=64 * EPS, atol=EPS)
    np.testing.assert_allclose(new.sigma_of_lam(lam[1:]), t[1:], rtol=64 * EPS)
    assert type(new.sigma_of_lam(0.0)) is float
    assert pickle.loads(pickle.dumps(new)) == new != flow


@pytest.mark.parametrize(
    "schedule",
    [*ALL, VE(0.002, 80), EDM(0.002, 80), VPCosine(0.0, normalised=False), VPLinear(0.1, 40.0)],
    ids=repr,
)
def test_formulas_of_the_package_agree(schedule):
    check_schedule(schedule)


class Slip(MinimalFlow):
    """`MinimalFlow` with one formula changed."""

    def __init__(self, name, change):
        rule = getattr(self, name)
        object.__setattr__(self, name, lambda x: change(rule(x)))


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("_lam", lambda x: 2 * x, "lam is 2.6.* and log_alpha - ln sigma is 1.3"),
        ("_lam", lambda x: x + 1e-3, "lam is 1.3.* and log_alpha - ln sigma is 1.3"),
        ("_lam", lambda x: -x, "lam must fall in t, but is -1.3"),
        ("_log_alpha", np.exp, "lam is 1.3.* and log_alpha - ln sigma is 2.3"),
        ("_sigma", lambda x: x**2, "lam is 1.3.* and log_alpha - ln sigma is 2.8"),
        ("_t_of_lam", lambda t: t + 0.01, r"t_of_lam\(lam\) is 0.2213 and t is 0.2113"),
        ("_t_of_rho", lambda t: t / 2, r"t_of_rho\(rho\) is 0.1056.* and t is 0.2113"),
        ("_alpha", lambda x: x**2, "ln alpha is -0.4.* and log_alpha is -0.2"),
        ("_rho", lambda x: 1 / x, "ln rho is 1.3.* and -lam is -1.3"),
        ("_alpha_of_lam", lambda x: 1 - x, r"alpha_of_lam\(lam\) is 0.2113 and alpha is 0.7887"),
        ("_sigma_of_lam", lambda x: x / 2, r"sigma_of_lam\(lam\) is 0.1056.* and sigma is 0.2113"),
        ("_drift", lambda x: -x, "drift is 1.2679.*, but d ln alpha / dt is about -1.26"),
        ("_diffusion_squared", lambda x: x / 2, "diffusion_squared is 0.2679.*, but -2 sigma"),
    ],
)
def test_formulas_that_contradict_each_other(name, change, said):
    slip = Slip(name, change)
    for _ in range(2):
        with pytest.raises(InvalidArgument, match=f"schedule=.*{said}"):
            diffusion.plan(slip, prediction="v")


class Table(NoiseSchedule):
    """Values of `VPLinear` at a few times, each interpolated by itself."""

    def __init__(self, count, last=1.0):
        known = VPLinear()
        times = np.linspace(1e-3, 1.0, count)
        self.last, self.knots = last, times * last
        self.log, self.part, self.lams = (
            f(times) for f in (known.log_alpha, known.sigma, known.lam)
        )

    t_min = property(lambda self: float(self.knots[0]))
    t_max = property(lambda self: self.last)

    def _of(self, t, values):
        return np.interp(t, self.knots, values)

    def _log_alpha(self, t):
        return self._of(t, self.log)

    def _sigma(self, t):
        return self._of(t, self.part)

    def _lam(self, t):
        return self._of(t, self.lams)

    def _t_of_lam(self, lam):
        return np.interp(lam, self.lams[::-1], self.knots[::-1])

    def _drift(self, t):
        return self._of(t, np.gradient(self.log, self.knots))

    def _diffusion_squared(self, t):
        return self._of(t, -2 * self.part**2 * np.gradient(self.lams, self.knots))


class Nearest(Table):
    """The value of the nearest entry."""

    def _of(self, t, values):
        return values[np.clip(np.rint(t).astype(int), 0, len(values) - 1)]

    t_min = 0.0

    def _t_of_lam(self, lam):
        return np.rint(np.interp(lam, self.lams[::-1], np.arange(1000.0)[::-1]))


@pytest.mark.parametrize("count", [12, 16, 31, 50, 101, 1000])
@pytest.mark.parametrize("last", [1.0, 999.0])
def test_tables_agree_as_well_as_their_entries_allow(count, last):
    assert diffusion.plan(Table(count, last), grid="uniform", steps=3).nfe == 3


@pytest.mark.parametrize("count", [31, 1000])
def test_a_table_takes_a_quantity_of_ones_own(count):
    """Its formulas are not asked at another lambda than they belong to."""
    own = dataclasses.replace(QUANTITIES["v"], name="own")
    cell = diffusion.Parameterisation(own, "lambda")
    made = diffusion.Sampler("own", cell, methods.etdab(2), "here")
    assert diffusion.plan(Table(count), method=made, grid="uniform", steps=3).nfe == 3


class Far(VPLinear):
    """Times beyond those at which alpha is a number."""

    t_max = 30.0
    t_start = 1.0


def test_formulas_are_compared_where_runs_go():
    assert diffusion.plan(Far(), steps=3).nfe == 3


@pytest.mark.parametrize("name", ["_log_alpha", "_drift"])
def test_formulas_that_return_a_number_for_several_times(name):
    slip = type("Constant", (VE,), {name: lambda self, t: 0.0})()
    with pytest.raises(InvalidArgument, match=rf"schedule=.*: {name} gave shape \(\) for times of"):
        diffusion.plan(slip, steps=3)


def test_tables_without_values_in_between_agree():
    assert diffusion.plan(Nearest(1000, 999.0), grid=[900, 500, 100, 10]).nfe == 3


def test_formulas_are_compared_once_and_those_of_the_package_never(monkeypatch):
    compared = []
    monkeypatch.setattr("semilinear.diffusion.schedules_base.check_schedule", compared.append)
    own = MinimalFlow()
    for _ in range(3):
        diffusion.plan(own, prediction="v")
        for schedule in ALL:
            diffusion.plan(schedule, prediction="v")
    assert compared == [own]
