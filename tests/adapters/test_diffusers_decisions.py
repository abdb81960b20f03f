"""Whether the configuration of each scheduler class is taken, live and from disk."""

from __future__ import annotations

import inspect
import logging

import pytest

from semilinear import InvalidArgument

torch = pytest.importorskip("torch")
stock = pytest.importorskip("diffusers")

from semilinear.adapters.diffusers import SemilinearScheduler  # noqa: E402
from semilinear.adapters.diffusers.decisions import FITTING, FLOWS, FROM_ZERO, REFUSED  # noqa: E402
from semilinear.adapters.diffusers.foreign_sampler import ELSEWHERE  # noqa: E402
from semilinear.adapters.diffusers.owner import TELLTALES, owner  # noqa: E402

# The stock schedulers' own, from their arithmetic of tensors by NumPy.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:diffusers"),
    pytest.mark.filterwarnings("ignore:__array:DeprecationWarning"),
]

ARGUMENTS = {
    "AmusedScheduler": {"mask_token_id": 3},
    "CogVideoXDDIMScheduler": {"snr_shift_scale": 1.0},
    "CogVideoXDPMScheduler": {"snr_shift_scale": 1.0},
    "RFD4ProteinaScheduler": {
        "schedule_mode": "log",
        "noise_mode": "1/t",
        "tsr_k": 1.0,
        "tsr_sigma": 1.0,
    },
    "VQDiffusionScheduler": {"num_vec_classes": 4},
}
"""What classes need to be made, or to have a network that fits."""

TAKEN_FOR = {
    "CogVideoXDPMScheduler": "CogVideoXDDIMScheduler",
    "DDIMParallelScheduler": "DDIMScheduler",
    "DDPMParallelScheduler": "DDPMScheduler",
    "FlowMapEulerDiscreteScheduler": "FlowMatchHeunDiscreteScheduler",
    "KDPM2AncestralDiscreteScheduler": "KDPM2DiscreteScheduler",
    "LMSDiscreteScheduler": "KDPM2DiscreteScheduler",
    "TCDScheduler": "LCMScheduler",
}
"""Classes whose live configurations look like those of another one, as the documentation says."""


def classes():
    """Every scheduler class that is installed, by name."""
    found = {}
    for name in dir(stock.schedulers):
        kind = getattr(stock.schedulers, name, None)
        if inspect.isclass(kind) and issubclass(kind, stock.SchedulerMixin):
            found[name] = kind
    found.pop("SchedulerMixin")
    return {name: kind for name, kind in found.items() if issubclass(kind, stock.ConfigMixin)}


CLASSES = classes()


def made(name, **arguments):
    return CLASSES[name](**ARGUMENTS.get(name, {}), **arguments)


def loaded(scheduler, path):
    scheduler.save_pretrained(path)
    return SemilinearScheduler.load_config(path)


def test_every_class_is_decided() -> None:
    assert len(CLASSES) > 40
    assert set(CLASSES) <= set(FITTING) | set(REFUSED)
    assert not set(FITTING) & set(REFUSED)
    assert set(FROM_ZERO) | set(FLOWS) | set(ELSEWHERE) <= set(FITTING)
    # Those that are no more among the installed ones are old.
    assert (set(FITTING) | set(REFUSED)) - set(CLASSES) <= {
        "KarrasVeScheduler",
        "ScoreSdeVpScheduler",
    }


@pytest.mark.parametrize("name", sorted(CLASSES))
@pytest.mark.parametrize("saved", [False, True])
def test_classes_are_taken_or_refused_by_their_names(name, saved, tmp_path, caplog) -> None:
    config = made(name).config
    whose = TAKEN_FOR.get(name, name)
    if saved:
        config, whose = loaded(made(name), tmp_path), name
    assert owner(config) == whose
    if whose in REFUSED or whose in ELSEWHERE:
        with pytest.raises(InvalidArgument, match=rf"config: {whose} ..+[;,] ..+"):
            SemilinearScheduler.from_config(config)
        return
    with caplog.at_level(logging.WARNING):
        ours = SemilinearScheduler.from_config(config)
    assert not caplog.records
    ours.set_timesteps(5)
    assert ours.config.prediction_type == ("flow_prediction" if whose in FLOWS else "epsilon")
    assert (ours.config.shift is not None) == (whose in FLOWS)


@pytest.mark.parametrize("name", sorted(set(FITTING) & set(CLASSES) - set(TAKEN_FOR)))
def test_live_and_saved_configurations_are_the_same(name: str, tmp_path) -> None:
    if name in ELSEWHERE:
        return
    live = SemilinearScheduler.from_config(made(name).config).config
    saved = SemilinearScheduler.from_config(loaded(made(name), tmp_path)).config
    assert {k: v for k, v in live.items() if k[0] != "_"} == {
        k: v for k, v in saved.items() if k[0] != "_"
    }


def test_classes_that_are_not_known_are_refused() -> None:
    config = {**stock.DDIMScheduler().config, "_class_name": "DDIMNextScheduler"}
    with pytest.raises(InvalidArgument, match=r"DDIMNextScheduler is not known here.*_class_name"):
        SemilinearScheduler.from_config(config)
    as_said = SemilinearScheduler.from_config({**config, "_class_name": "DDIMScheduler"})
    assert as_said.config.timestep_spacing == "leading"
    in_a_file = {**config, "_class_name": ["scheduler.py", "DDIMNextScheduler"]}
    with pytest.raises(InvalidArgument, match="DDIMNextScheduler is not known here"):
        SemilinearScheduler.from_config(in_a_file)


class Derived(SemilinearScheduler):
    """One's own."""


def test_classes_derived_from_this_one_are_its_own(tmp_path) -> None:
    scheduler = Derived(predictor_order=3, leading_from_zero=True)
    again = Derived.from_config(loaded(scheduler, tmp_path))
    live = Derived.from_config(scheduler.config)
    for other in (again, live):
        assert (other.config.predictor_order, other.config.leading_from_zero) == (3, True)


def test_live_configurations_are_known_whatever_else_was_said() -> None:
    """Changed as pipelines change them, with all arguments given, and with those of others."""
    scheduler = stock.LCMScheduler(1000, 0.001)
    scheduler.register_to_config(steps_offset=1)
    assert owner(scheduler.config) == "LCMScheduler"
    every = {k: v for k, v in stock.MiniMaxH3Scheduler().config.items() if k[0] != "_"}
    assert owner(stock.MiniMaxH3Scheduler(**every).config) == "MiniMaxH3Scheduler"
    changed = stock.configuration_utils.FrozenDict({**scheduler.config, "clip_sample": True})
    assert owner(changed) == "LCMScheduler"
    after = stock.DDIMScheduler.from_config(stock.LCMScheduler(original_inference_steps=9).config)
    assert after.config.original_inference_steps == 9
    assert owner(after.config) == "DDIMScheduler"
    assert SemilinearScheduler.from_config(after.config).config.original_inference_steps == 9
    ours = SemilinearScheduler.from_config(after.config)
    assert owner({k: v for k, v in ours.config.items() if k != "_class_name"}) is not None


@pytest.mark.parametrize(("key", "name"), TELLTALES.items())
def test_configurations_by_hand_are_known_by_keys_of_one_class(key: str, name: str) -> None:
    assert key in inspect.signature(CLASSES[name]).parameters
    assert owner({"num_train_timesteps": 1000, key: 1}) == name
    assert owner({"num_train_timesteps": 1000, "shift": 3.0}) is None


def test_the_way_out_that_is_named_for_consistency_models_works(tmp_path) -> None:
    for config in (stock.LCMScheduler().config, loaded(stock.TCDScheduler(), tmp_path)):
        with pytest.raises(InvalidArgument, match=r"DDIMScheduler.from_config\(config\).config"):
            SemilinearScheduler.from_config(config)
        other = stock.DDIMScheduler.from_config(config).config
        SemilinearScheduler.from_config(other).set_timesteps(5)


def test_defaults_of_a_class_count_where_a_file_is_silent() -> None:
    ours = SemilinearScheduler.from_config({"_class_name": "HeunDiscreteScheduler"})
    assert (ours.config.beta_start, ours.config.beta_end) == (0.00085, 0.012)
    flow = SemilinearScheduler.from_config({"_class_name": "FlowMatchEulerDiscreteScheduler"})
    assert (flow.config.shift, flow.config.prediction_type) == (1.0, "flow_prediction")


def test_the_shift_of_a_flow_that_was_there_before_makes_none() -> None:
    flow = stock.FlowMatchEulerDiscreteScheduler(shift=3.0)
    euler = stock.EulerDiscreteScheduler.from_config(flow.config)
    assert euler.config.shift == 3.0
    assert SemilinearScheduler.from_config(euler.config).config.shift is None
    given = {"use_flow_sigmas": True, "prediction_type": "flow_prediction", "flow_shift": 2.0}
    unipc = stock.UniPCMultistepScheduler.from_config(flow.config, **given)
    ours = SemilinearScheduler.from_config(unipc.config)
    assert (ours.config.shift, ours.config.flow_shift) == (None, 2.0)
    assert SemilinearScheduler.from_config(unipc.config, shift=4.0).config.shift == 4.0
