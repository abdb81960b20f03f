"""Bad input: each message names the argument at fault and says what to do."""

from __future__ import annotations

import re
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest

from semilinear import diffusion, errors
from semilinear.diffusion import VE, Discrete, Flow, VPCosine, VPLinear
from semilinear.errors import InvalidArgument, ModelOutputError, NonFiniteError, UnknownName

VP = VPLinear()
X = np.ones((2, 3))


def refused(error: type[Exception], *parts: str):
    """Expect an error whose message holds these parts in this order."""
    return pytest.raises(error, match=".*".join(re.escape(part) for part in parts))


@pytest.mark.parametrize(
    ("argument", "value", "remedy"),
    [
        ("method", "tabb3", "did you mean tab3"),
        ("method", "heunn", "did you mean heun"),
        ("method", "zzzzz", "known: ddim, ddpm, deis,"),
        ("grid", "karas", "did you mean karras?"),
        ("grid", "polyexponential", "known: karras, lambda, mixed, quadratic, uniform."),
        ("prediction", "epsilon", "did you mean eps?"),
        ("prediction", "noise", "known: eps, flow, score, v, x0."),
        ("final", "zeros", "did you mean zero"),
        ("start", "rkk", "did you mean rk?"),
        ("direction", "encoding", "did you mean encode?"),
    ],
)
def test_unknown_names(argument, value, remedy):
    with refused(UnknownName, f"{argument}={value!r} is not known; ", remedy):
        diffusion.plan(VP, **{argument: value})


@pytest.mark.parametrize("value", ["no", 1, None, [1]])
@pytest.mark.parametrize(
    ("argument", "choice"),
    [
        ("exact", "must be True or False"),
        ("estimate", "must be True or False"),
        ("lower_end", "must be True, False or 'zero'"),
    ],
)
def test_flags(argument, value, choice):
    with refused(InvalidArgument, f"{argument}={value!r} {choice}"):
        diffusion.plan(VP, **{argument: value})


def test_flags_of_numpy():
    for value in (True, False):
        made = diffusion.plan(VP, method="unipc2", exact=np.bool_(value), lower_end=np.bool_(value))
        assert (
            made.identity
            == diffusion.plan(VP, method="unipc2", exact=value, lower_end=value).identity
        )


def test_samplers_of_other_parts():
    cell, method = diffusion.Parameterisation("eps", "t"), diffusion.catalogue.etdab(2)
    for part, made in (
        ("parameterisation='eps'", diffusion.Sampler("mine", "eps", method, "me")),
        ("method='etdab2'", diffusion.Sampler("mine", cell, "etdab2", "me")),
        ("exact='etdab2'", diffusion.Sampler("mine", cell, method, "me", exact="etdab2")),
    ):
        with refused(InvalidArgument, f"method: {part} of a diffusion.Sampler must be an object"):
            diffusion.plan(VP, method=made)


def test_a_method_of_the_core_needs_a_parameterisation():
    for method in (3, diffusion.catalogue.etdab(4)):
        with refused(InvalidArgument, "must be a name or a diffusion.Sampler", "Parameterisation"):
            diffusion.plan(VP, method=method)


def test_a_count_may_be_a_whole_float():
    assert diffusion.plan(VP, steps=3.0).steps == 3


@pytest.mark.parametrize("value", [0, -3, 2.5, True, "3", np.nan, np.inf])
@pytest.mark.parametrize("argument", ["steps", "nfe"])
def test_counts(argument, value):
    with refused(InvalidArgument, f"{argument}={value!r} must be a whole number of at least 1"):
        diffusion.plan(VP, **{argument: value})


@pytest.mark.parametrize("value", [True, np.array(True), "0.5", np.nan, np.inf])
@pytest.mark.parametrize("argument", ["t_start", "t_end"])
def test_times(argument, value):
    with refused(InvalidArgument, f"{argument}={errors.shown(value)} must be a finite number"):
        diffusion.plan(VP, **{argument: value})


@pytest.mark.parametrize("value", [np.array(0.5), np.float32(0.5), Fraction(1, 2)])
def test_a_time_may_be_any_real_number(value):
    assert diffusion.plan(VP, t_start=value).t[0] == 0.5


def test_steps_and_evaluations_both():
    with refused(InvalidArgument, "give steps or nfe, not both"):
        diffusion.plan(VP, steps=3, nfe=3)


@pytest.mark.parametrize(
    ("options", "needed"),
    [
        ({"nfe": 3, "method": "rho_rk4"}, "4 evaluations that one step of rho_rk4 needs"),
        ({"nfe": 1, "final": "denoise"}, "2 evaluations that one step of tab3 needs"),
        ({"nfe": 4, "start": "rk"}, "5 evaluations that one step of tab3 needs"),
    ],
)
def test_a_budget_too_small_for_one_step(options, needed):
    with refused(InvalidArgument, f"nfe={options['nfe']} is less than the {needed}", "final="):
        diffusion.plan(VP, **options)


@pytest.mark.parametrize("prediction", ["eps", "score"])
@pytest.mark.parametrize(("schedule", "t"), [(Flow(), None), (VPCosine(), 1.0)], ids=repr)
def test_predictions_that_cannot_start_from_pure_noise(schedule, t, prediction):
    with refused(
        InvalidArgument,
        f"t_start=1: alpha is 0 there, where prediction='{prediction}' tells nothing",
        "choose a smaller t_start or one of ('x0', 'v', 'flow')",
    ):
        diffusion.plan(schedule, prediction=prediction, t_start=t)


@pytest.mark.parametrize("options", [{"method": "euler"}, {"method": "tab3", "start": "rk"}])
def test_methods_that_cannot_start_from_pure_noise(options):
    with refused(InvalidArgument, "t_start=1: alpha is 0", "cannot step", "a smaller t_start"):
        diffusion.plan(Flow(), prediction="v", **options)


@pytest.mark.parametrize("schedule", ["vp_linear", VPLinear, None, 3])
def test_what_is_no_schedule(schedule):
    with refused(InvalidArgument, "schedule=", "must be a NoiseSchedule such as"):
        diffusion.plan(schedule)


@pytest.mark.parametrize("schedule", [VE(), Discrete.linear(), VPCosine(normalised=False)])
def test_a_last_step_in_t_where_no_time_has_no_noise(schedule):
    with refused(InvalidArgument, "final='zero': sigma = 0", "tab3", "use final='denoise', or a"):
        diffusion.plan(schedule, final="zero")


@pytest.mark.parametrize("final", ["zero", "denoise"])
def test_encoding_ends_at_its_end(final):
    with refused(InvalidArgument, f"final='{final}' belongs to sampling", "final='t_end'"):
        diffusion.plan(VP, direction="encode", final=final)


@pytest.mark.parametrize(
    ("schedule", "options"),
    [
        (VP, {"t_end": 0.0}),
        (Flow(), {"prediction": "v"}),
        (Flow(), {"prediction": "v", "t_start": 0.9}),
        (Flow(), {"prediction": "v", "t_end": 0.1}),
        (VPCosine(), {"t_start": 1.0}),
    ],
)
def test_encoding_from_no_noise_or_to_pure_noise(schedule, options):
    with refused(InvalidArgument, "encoding by tab3", "cannot begin at sigma = 0", "choose ends"):
        diffusion.encode(lambda x, t: x, X, schedule, **options)


@pytest.mark.parametrize("run", [diffusion.sample, diffusion.encode])
@pytest.mark.parametrize(
    ("x", "complaint", "remedy"),
    [
        (np.ones(3, int), "x has dtype int64", "must be real or complex floating"),
        (np.ones(3, bool), "x has dtype bool", "for example float32"),
        (np.ones(3, object), "x has dtype object", "for example float32"),
        ([1.0, 2.0], "x must be an array, got list", "use numpy.asarray(x)"),
        (None, "x must be an array, got NoneType", "use numpy.asarray(x)"),
        (np.ones(3, ">f8"), "x has dtype >f8, in the byte order of", "newbyteorder('=')"),
        (np.ones((2, 3)).view(np.matrix), "x is a matrix of NumPy", "numpy.array(x)"),
        (np.ma.ones(3), "x is a MaskedArray of NumPy", "numpy.array(x)"),
    ],
)
def test_states(run, x, complaint, remedy):
    with refused(InvalidArgument, complaint, remedy):
        diffusion.follow(diffusion.plan(VP), lambda x, t: x, x)
    name = "x_T" if run is diffusion.sample else "x_0"
    complaint = name + complaint.removeprefix("x")
    with refused(InvalidArgument, complaint, remedy.replace("(x)", f"({name})")):
        run(lambda x, t: x, x, VP)
    if name == "x_T":
        for method in ("auto", "ddpm"):
            with refused(InvalidArgument, complaint):
                run(lambda x, t: x, x, VP, method=method)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_state_that_is_not_finite(bad):
    with refused(NonFiniteError, "x_T has NaN or infinite entries; start from finite numbers"):
        diffusion.sample(lambda x, t: x, np.full((2, 3), bad), VP)


@pytest.mark.parametrize(
    ("model", "found"),
    [
        (lambda x, t: x[:1], "shape (1, 3) and dtype float64"),
        (lambda x, t: x.sum(), "shape () and dtype float64"),
        (lambda x, t: x.astype(np.float32), "shape (2, 3) and dtype float32"),
        (lambda x, t: np.ones((2, 3), int), "shape (2, 3) and dtype int64"),
        (lambda x, t: None, "NoneType"),
        (lambda x, t: (x,), "tuple"),
        (lambda x, t: (x, x), "tuple"),
        (lambda x, t: (x, None), "tuple"),
        (lambda x, t: [x, 1], "list"),
        (lambda x, t: x.astype(np.float16), "shape (2, 3) and dtype float16 (diffusion.in_dtype"),
    ],
)
@pytest.mark.parametrize("method", ["tab3", "rho_heun2"])
def test_answers_of_another_kind(model, found, method):
    def late(x, t):
        return model(x, t) if t < 0.9 else 0 * x

    with refused(
        ModelOutputError,
        "evaluation 2 of",
        "(t = 0.",
        f"returned {found}",
        "; it must return an array like the state",
        "shape (2, 3) and dtype float64",
    ):
        diffusion.sample(late, X, VP, method=method, steps=6)


@pytest.mark.parametrize("size", [3, 300])
def test_answers_of_subclasses_are_the_same_for_small_and_large_states(size):
    """From 256 entries on kernels are compiled."""
    x = np.ones((2, size))
    found = diffusion.sample(lambda x, t: (0.5 * x).view(np.matrix), x, VP, steps=3)
    assert type(found) is np.ndarray
    np.testing.assert_array_equal(found, diffusion.sample(lambda x, t: 0.5 * x, x, VP, steps=3))
    with refused(ModelOutputError, "MaskedArray, not in the library of the state"):
        diffusion.sample(lambda x, t: np.ma.masked_array(x), x, VP, steps=3)


@pytest.mark.parametrize("size", [3, 300])
@pytest.mark.parametrize("second", [None, 1])
def test_pairs_are_no_answers_whatever_the_size(second, size):
    with refused(
        ModelOutputError, "returned tuple, with arrays in it: return the one that is meant"
    ):
        diffusion.sample(lambda x, t: (x, second), np.ones((2, size)), VP, steps=3)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("shape", [(2, 3), (40, 30)])
def test_answers_that_are_not_finite(bad, shape):
    def model(x, t):
        answer = 0 * x
        if t < 0.5:
            answer[0, 1] = bad
        return answer

    plan = diffusion.plan(VP, steps=6)
    number = next(n for n, t in enumerate(plan.times, start=1) if t < 0.5)
    count = f"1 of {shape[0] * shape[1]} entries"
    with refused(
        NonFiniteError,
        f"evaluation {number} of 6 (t = {plan.times[number - 1]:.9g}) returned NaN or infinity",
        count,
        "check the model there",
    ):
        diffusion.follow(plan, model, np.ones(shape))


@pytest.mark.parametrize(
    ("wrap", "said"),
    [
        (lambda x: SimpleNamespace(sample=x), ("returned SimpleNamespace", "torch.eps_model")),
        (lambda x: (x,), ("returned tuple", "such as output[0]")),
        (lambda x: np.concatenate([x, x], axis=1), ("(1, 6, 2, 2)", "variance", "output[:, :3]")),
    ],
)
def test_answers_of_networks_that_are_wrapped_are_named_with_what_to_return(wrap, said):
    with refused(ModelOutputError, "the model at evaluation 1 of 2 (t = 1)", *said):
        diffusion.sample(lambda x, t: wrap(x), np.ones((1, 3, 2, 2)), VP, steps=2)


def test_answers_are_not_looked_at_if_that_is_asked():
    y = diffusion.sample(lambda x, t: x * np.nan, X, VP, steps=2, check_finite=False)
    assert np.isnan(y).all()


def test_advancing_beyond_the_end():
    plan = diffusion.plan(VP, steps=1)
    state = plan.advance(plan.start(X), X)
    with refused(InvalidArgument, "state is done", "begin another"):
        plan.advance(state, X)


def test_arguments_are_given_by_name():
    with pytest.raises(TypeError, match="positional"):
        diffusion.plan(VP, "tab3")


@pytest.mark.parametrize(("quantity", "variable"), [("x1", "rho"), ("eps", "sigma")])
def test_a_parameterisation_that_does_not_exist(quantity, variable):
    with refused(InvalidArgument, "is not known"):
        own = diffusion.Sampler(
            "own",
            diffusion.catalogue.Parameterisation(quantity, variable),
            diffusion.catalogue.etdab(1),
            "this test",
        )
        diffusion.plan(VP, method=own)


def test_the_velocity_is_integrated_over_t_only():
    with refused(InvalidArgument, "variable='rho'", "over t only"):
        diffusion.catalogue.Parameterisation("velocity", "rho")


def test_a_state_that_overflows():
    with refused(NonFiniteError, "the state overflowed", "output was finite"):
        diffusion.sample(lambda x, t: np.full_like(x, 1e308), X, VP)
