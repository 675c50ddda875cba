"""Every training option does what it says."""

import json
import math
import threading

import numpy as np
import pytest
import tifffile
import torch
import torch.nn.functional as F
import typer
from typer.testing import CliRunner

from napari_convnet import TrainingSettings, UserError, load_model, run, train
from napari_convnet.images import Normalisation
from napari_convnet.samples import AugmentationSettings, PositionSet, split_by_sample
from napari_convnet.settings import field_options
from napari_convnet.training import BatchFinished, EpochFinished, StoppedEarly, Validated
from napari_convnet.training.best import Best, Mark
from napari_convnet.training.clock import Pace
from napari_convnet.training.losses import class_loss
from napari_convnet.training.objectives import class_weights
from napari_convnet.training.optimisers import AdaptiveMomentum, add_l1, make_optimiser
from napari_convnet.training.overfitting import advice, overfits_since
from napari_convnet.training.precision import cpu_knows_bfloat16, uses_bfloat16
from napari_convnet.training.prefetch import prefetched
from napari_convnet.training.schedules import Schedule
from synthetic_pictures import blob_set, shape_set
from training_helpers import listen

SMALL = {"width": 4, "blocks": 2}


@pytest.fixture(scope="module")
def shapes():
    return shape_set(40)


def train_with(samples, **options):
    """Return all events and the model of a small training."""
    settings = TrainingSettings(**{"epochs": 2, "batch_size": 8, "device": "cpu", **options})
    return listen(train(samples, settings=settings, network_settings=SMALL))


def epochs_of(events):
    return [event for event in events if isinstance(event, EpochFinished)]


# Settings


def test_every_setting_has_a_group_a_tooltip_and_a_range():
    for name, options in field_options(TrainingSettings).items():
        assert options["group"] in {
            "basic", "solver", "schedule", "regularisation", "augmentation", "validation", "loss", "hardware",
            "transfer",
        }, name  # fmt: skip
        assert options["tooltip"].endswith(".")


@pytest.mark.parametrize(
    "wrong",
    [
        {"solver": "newton"}, {"scale_min": 2.0}, {"rotation_min": 10.0, "rotation_max": 5.0}, {"patience": -1},
        {"schedule": "linear"}, {"momentum": 1.0}, {"loss": "hinge"}, {"validate_every": 0},
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused_by_name(wrong):
    with pytest.raises(UserError, match=next(iter(wrong)).removesuffix("_min")) as refused:
        TrainingSettings(**wrong)
    assert refused.value.code == "CN-501"


def test_settings_of_older_and_newer_programs_are_read():
    record = {"epochs": 7, "balance": False, "solver": "sgdm", "patch_size": 64}
    expected = TrainingSettings(epochs=7, balance="off", solver="sgdm")
    assert TrainingSettings.from_record(record) == expected


# Solvers


@pytest.mark.parametrize("solver", ["adamw", "adam", "sgdm", "rmsprop", "traingdx"])
def test_every_solver_finds_the_lowest_point(solver):
    place = torch.nn.Parameter(torch.tensor([3.0, -2.0]))
    rate = {"sgdm": 0.02, "traingdx": 0.01}.get(solver, 0.05)
    settings = TrainingSettings(solver=solver, learning_rate=rate, weight_decay=0.0)
    optimiser = make_optimiser([place], settings)
    rates = Schedule(settings)
    for _ in range(400):
        loss = (place**2).sum()
        optimiser.zero_grad()
        loss.backward()
        for group in optimiser.param_groups:
            group["lr"] = rates.rate(0.0, 1, 1000, 1000)
        optimiser.step()
        if solver == "traingdx":
            rates.adapt(optimiser.judge(loss.item(), (place**2).sum().item()))
    assert place.abs().max() < 0.1


def test_an_adaptive_rate_grows_while_the_loss_falls_and_a_bad_step_is_undone():
    place = torch.nn.Parameter(torch.tensor([1.0]))
    optimiser = AdaptiveMomentum([place], 0.1)
    (place**2).sum().backward()
    optimiser.step()
    assert place.item() == pytest.approx(1 - 0.1 * 0.9 * 2)
    assert optimiser.judge(1.0, 0.9) == 1.05
    assert optimiser.judge(1.0, 1.03) == 1.0
    assert place.item() != 1.0
    assert optimiser.judge(1.0, 1.05) == 0.7
    assert place.item() == 1.0
    assert optimiser.judge(1.0, math.nan) == 0.7


@pytest.mark.parametrize("solver", ["adam", "sgdm", "rmsprop", "traingdx"])
@pytest.mark.parametrize("make", [shape_set, blob_set])
def test_every_solver_trains_every_task(solver, make):
    samples = make(40) if make is shape_set else make()
    network = SMALL if make is shape_set else {"width": 4, "levels": 1}
    settings = TrainingSettings(epochs=3, batch_size=8, solver=solver, learning_rate=5e-3)
    events = list(train(samples, settings=settings, network_settings=network))
    losses = [event.training_loss for event in epochs_of(events)]
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0] * 1.2


def test_kernels_are_drawn_to_zero_by_l1_and_biases_are_not():
    kernel, bias = (torch.nn.Parameter(torch.tensor(v)) for v in ([[2.0, -3.0]], [1.0]))
    for parameter in (kernel, bias):
        parameter.grad = torch.zeros_like(parameter)
    add_l1([kernel, bias], 0.5)
    assert kernel.grad.tolist() == [[0.5, -0.5]]
    assert bias.grad.tolist() == [0.0]


@pytest.mark.parametrize("name", ["l1", "weight_decay"])
def test_strong_regularisation_makes_weights_small(shapes, name):
    def size(**options):
        _, model = train_with(shapes, epochs=15, learning_rate=3e-2, augment=False, **options)
        return sum(p.abs().sum().item() for p in model.network.parameters() if p.ndim > 1)

    # Measured: 0.07 of the size with L1, 0.64 with weight decay.
    assert size(**{name: 1.0}) < 0.9 * size(**{name: 0.0})


def test_biases_and_the_backbone_learn_at_their_own_rates(shapes):
    _, model = train_with(shapes, backbone_learning_rate_factor=0.0, weight_decay=0.0)
    _, free = train_with(shapes, weight_decay=0.0)
    _, start = train_with(shapes, learning_rate=1e-6, weight_decay=0.0, epochs=1)
    kernel = "features.0.weight"
    moved = (model.network.state_dict()[kernel] - start.network.state_dict()[kernel]).abs().max()
    assert (
        moved
        < 1e-4
        < (free.network.state_dict()[kernel] - start.network.state_dict()[kernel]).abs().max()
    )


def test_gradients_are_shortened_only_where_that_is_wanted(shapes):
    losses = [
        [e.training_loss for e in epochs_of(train_with(shapes, solver="sgdm", gradient_clipping=g)[0])]
        for g in (1e-6, 0.0, 1e6)
    ]  # fmt: skip
    assert losses[0] != losses[1] == losses[2]


# Schedules


def test_rates_follow_their_formulas():
    def rate(share, epoch, **options):
        settings = TrainingSettings(learning_rate=0.1, warm_up_steps=0, **options)
        return Schedule(settings).rate(share, epoch, 500, 1000)

    assert rate(0.3, 4, schedule="constant") == 0.1
    assert rate(0.3, 4, schedule="cosine") == pytest.approx(0.05 * (1 + math.cos(0.3 * math.pi)))
    step = {"schedule": "step", "drop_factor": 0.5, "drop_period": 3}
    assert [rate(0, e, **step) for e in (1, 3, 4, 6, 7)] == pytest.approx(
        [0.1, 0.1, 0.05, 0.05, 0.025]
    )


def test_the_rate_warms_up_over_its_first_steps():
    schedule = Schedule(TrainingSettings(learning_rate=0.1, schedule="constant", warm_up_steps=4))
    rates = [schedule.rate(0, 1, step, 100) for step in range(6)]
    assert rates == pytest.approx([0.025, 0.05, 0.075, 0.1, 0.1, 0.1])


def test_the_rate_drops_where_the_loss_stays():
    settings = TrainingSettings(
        learning_rate=0.1, schedule="plateau", drop_period=2, drop_factor=0.1, warm_up_steps=0
    )
    schedule, rates = Schedule(settings), []
    for loss in (1.0, 0.5, 0.6, 0.5, 0.5, 0.4, 0.4, 0.4):
        schedule.end_epoch(loss)
        rates.append(schedule.rate(0, 1, 0, 10))
    expected = [0.1, 0.1, 0.1, 0.01, 0.01, 0.01, 0.01, 0.001]
    assert rates == pytest.approx(expected)


def test_a_recorded_pace_repeats_its_shares():
    pace = Pace()
    shares = [pace.share(step, step**1.5, 100.0) for step in range(20) for _ in range(2)]
    again = Pace(pace.steps)
    assert [again.share(step, 0.0, 0.0) for step in range(20) for _ in range(2)] == shares
    assert shares[0] == 0
    assert shares[-1] == int(200 * 19**1.5 / 100) / 200


@pytest.mark.parametrize(
    ("shuffle", "is_same", "is_sorted"),
    [("every_epoch", False, False), ("once", True, False), ("never", True, True)],
)
def test_samples_come_in_the_order_that_was_asked_for(shapes, shuffle, is_same, is_sorted):
    random = torch.Generator().manual_seed(5)
    orders = [
        torch.cat([inputs.flatten(1).sum(1) for inputs, _ in shapes.training_batches(
            8, random, augment=None, shuffle=shuffle)])
        for _ in range(2)
    ]  # fmt: skip
    in_order = shapes.patches[shapes.split.training].flatten(1).sum(1)
    assert torch.equal(*orders) is is_same
    assert torch.allclose(orders[0], in_order) is is_sorted
    assert torch.allclose(orders[0].sort().values, in_order.sort().values)


# Losses


def logits_and_targets(spatial):
    random = torch.Generator().manual_seed(0)
    shape = (4, 3, 5, 6) if spatial else (12, 3)
    logits = torch.randn(shape, generator=random)
    targets = torch.randint(-1, 3, (4, 5, 6) if spatial else (12,), generator=random)
    return logits, targets


@pytest.mark.parametrize("spatial", [False, True])
@pytest.mark.parametrize("kind", ["cross_entropy", "focal", "mean_squared_error", "dice"])
def test_what_is_not_annotated_changes_no_loss(kind, spatial):
    logits, targets = logits_and_targets(spatial)
    unknown = (targets < 0).unsqueeze(1).expand_as(logits)
    other = torch.where(unknown, logits * 7 + 3, logits)
    torch.testing.assert_close(class_loss(kind, logits, targets), class_loss(kind, other, targets))


@pytest.mark.parametrize("spatial", [False, True])
def test_losses_are_those_of_their_formulas(spatial):
    logits, targets = logits_and_targets(spatial)
    weights = torch.tensor([0.5, 1.0, 2.0])
    entropy = F.cross_entropy(logits, targets, weights, ignore_index=-1)
    # Focal loss with gamma 0 is the cross-entropy.
    torch.testing.assert_close(class_loss("focal", logits, targets, weights, 0.0), entropy)
    flat = logits.movedim(1, -1).reshape(-1, 3)[targets.flatten() >= 0]
    true = targets.flatten()[targets.flatten() >= 0]
    share = flat.softmax(1)[torch.arange(len(true)), true]
    focal = (-((1 - share) ** 2) * share.log()).mean()
    torch.testing.assert_close(class_loss("focal", logits, targets), focal)
    squares = (flat.softmax(1) - F.one_hot(true, 3)).square().mean()
    torch.testing.assert_close(class_loss("mean_squared_error", logits, targets), squares)
    both = (flat.softmax(1) * F.one_hot(true, 3)).sum(0)
    either = flat.softmax(1).sum(0) + F.one_hot(true, 3).sum(0)
    dice = 1 - ((2 * both + 1) / (either + 1)).mean()
    torch.testing.assert_close(class_loss("dice", logits, targets), dice)


@pytest.mark.parametrize("kind", ["focal", "mean_squared_error", "dice"])
@pytest.mark.parametrize("make", [shape_set, blob_set])
def test_every_loss_teaches_every_task(kind, make):
    samples = make(60) if make is shape_set else make()
    network = SMALL if make is shape_set else {"width": 4, "levels": 1}
    settings = TrainingSettings(epochs=4, batch_size=8, loss=kind, learning_rate=5e-3)
    losses = [
        e.validation_loss
        for e in epochs_of(train(samples, settings=settings, network_settings=network))
    ]
    assert losses[-1] < losses[0]


def test_a_rare_class_counts_by_the_inverse_root_of_its_count():
    weights = class_weights([100, 25, 0])
    assert weights[1] / weights[0] == pytest.approx(2)
    assert weights.sum() == pytest.approx(2)
    assert weights[2] == 0


def test_balanced_sampling_shows_all_classes_equally_often():
    samples = shape_set(400, share_of_squares=0.1)
    random = torch.Generator().manual_seed(0)
    batches = samples.training_batches(50, random, augment=None, balanced=True)
    targets = torch.cat([targets for _, targets in batches])
    assert len(targets) == samples.n_training
    assert 0.4 < targets.float().mean() < 0.6


# Ends, measurements, the best


def test_the_training_ends_where_its_goal_is_reached(shapes):
    events, model = train_with(shapes, epochs=50, loss_goal=0.65, learning_rate=5e-3)
    losses = [event.training_loss for event in epochs_of(events)]
    assert losses[-1] <= 0.65 < min(losses[:-1])
    assert len(losses) < 50
    assert model.card.scores["ended_by"] == "loss goal"


def test_the_training_ends_when_the_validation_loss_falls_no_more(shapes):
    events, model = train_with(
        shapes, epochs=200, patience=3, learning_rate=0.02, schedule="constant"
    )
    losses = [event.validation_loss for event in epochs_of(events)]
    assert model.card.scores["ended_by"] == "patience"
    assert min(losses[-3:]) >= min(losses[:-3])
    assert len(losses) < 200


def test_measuring_every_third_epoch_measures_the_last_one_too(shapes):
    events, _ = train_with(shapes, epochs=7, validate_every=3)
    measured = [e.epoch for e in epochs_of(events) if e.validation_loss is not None]
    assert measured == [3, 6, 7]


def test_measuring_within_epochs_is_told(shapes):
    events, _ = train_with(shapes, epochs=2, validate_every=3, validate_unit="iterations")
    per_epoch = shapes.batches_per_epoch(8)
    measured = [e.done for e in events if isinstance(e, Validated)]
    assert measured == [s for s in range(3, 2 * per_epoch, 3) if s % per_epoch]
    assert epochs_of(events)[-1].score is not None


def mark(score, loss=0.5, error=0.1):
    return Mark(loss, score, error, score, "", {})


@pytest.mark.parametrize(
    ("rule", "kept"),
    [("best_score_one_standard_error", [1, 2, 3, 5]), ("best", [1, 2]), ("last", [1, 2, 3, 4, 5])],
)
def test_the_network_that_is_returned_is_chosen_by_its_rule(rule, kept):
    module = torch.nn.Linear(1, 1)
    best = Best(rule, module)
    marks = [mark(0.7), mark(0.9), mark(0.85), mark(0.5), mark(0.9, loss=0.6)]
    found = [k for k, m in enumerate(marks, 1) if best.consider(module, m, k, k)]
    assert found == kept


def test_of_equal_scores_the_lower_loss_is_best():
    module = torch.nn.Linear(1, 1)
    best = Best("best", module)
    assert best.consider(module, mark(0.9, 0.5), 1, 1)
    assert best.consider(module, mark(0.9, 0.4), 2, 2)
    assert not best.consider(module, mark(0.9, 0.45), 3, 3)


def spot_set(n=40):
    """Return pictures of a bright spot each, with its place: what a linear network learns, or diverges on."""
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[:16, :16]
    places = random.uniform(4, 11, (n, 2))
    away = (rows - places[:, 0, None, None]) ** 2 + (columns - places[:, 1, None, None]) ** 2
    patches, targets = np.exp(-away / 8)[:, None], places - 7.5
    return PositionSet(
        torch.from_numpy(patches).float(), torch.from_numpy(targets).float(),
        split_by_sample(np.zeros(n, int), 0.25, 0), ("channel 1",), Normalisation("per_image"), 16,
    )  # fmt: skip


def test_an_exploding_loss_ends_the_training_with_the_last_good_model():
    # A squared error of a linear network, without any normalisation: beyond some rate every step is too long. The
    # rate grows from step to step, so the first epochs are good ones.
    layers = [
        {"name": "flat", "kind": "flatten", "inputs": ["image"]},
        {"name": "place", "kind": "linear", "inputs": ["flat"]},
    ]
    settings = TrainingSettings(
        epochs=100, batch_size=8, device="cpu", solver="sgdm", learning_rate=1.0, warm_up_steps=400,
        gradient_clipping=0.0, schedule="constant", augment=False,
    )  # fmt: skip
    options = {"graph": json.dumps({"layers": layers})}
    events, model = listen(train(spot_set(), "custom", settings, network_settings=options))
    (stopped,) = [event for event in events if isinstance(event, StoppedEarly)]
    epochs, scores = epochs_of(events), model.card.scores
    assert scores["ended_by"] == "invalid numbers"
    assert stopped.reason in scores["warning"]
    assert 1 <= scores["best_epoch"] <= len(epochs) < 100
    assert epochs[-1].training_loss > 100 * epochs[0].training_loss  # it had exploded indeed
    # The network that is returned is the good one: it has the loss of its epoch.
    kept = scores["validation"]["root_mean_square_error_pixels"] ** 2
    assert kept == pytest.approx(epochs[scores["best_epoch"] - 1].validation_loss, rel=1e-3)
    assert kept == pytest.approx(min(epoch.validation_loss for epoch in epochs), rel=1e-3)
    assert all(torch.isfinite(t).all() for t in model.network.state_dict().values())


# Over-fitting


def curves(n, part_at, rise=0.03, noise=0.0, seed=0):
    """Return training and validation losses that part at an epoch."""
    random = np.random.default_rng(seed)
    epochs = np.arange(1, n + 1)
    training = 0.9 * np.exp(-epochs / 10)
    validation = np.where(
        epochs <= part_at,
        0.3 + 0.6 * np.exp(-epochs / 5),
        0.3 + 0.6 * np.exp(-part_at / 5) + rise * (epochs - part_at),
    )
    return training, validation + random.normal(0, noise, n)


@pytest.mark.parametrize("noise", [0.0, 0.03])
@pytest.mark.parametrize("part_at", [8, 15])
def test_the_epoch_at_which_training_and_validation_part_is_found(part_at, noise):
    found = overfits_since(*curves(40, part_at, noise=noise))
    assert abs(found - part_at) <= (0 if noise == 0 else 4)
    assert f"epoch {found}" in advice(found)


@pytest.mark.parametrize("seed", range(20))
def test_noise_on_a_falling_or_level_loss_is_no_over_fitting(seed):
    assert overfits_since(*curves(60, 60, noise=0.03, seed=seed)) is None
    level = 0.5 + np.random.default_rng(seed).normal(0, 0.05, 60)
    assert overfits_since(np.linspace(0.6, 0.4, 60), level) is None


def test_the_rates_of_the_rule_are_those_that_it_states():
    """Seeds that no threshold was chosen on; ``pytest -s -k rates_of_the_rule`` prints the table."""
    seeds = range(1000, 1020)
    falling = [curves(60, 60, noise=0.03, seed=seed) for seed in seeds]
    level = [
        (np.linspace(0.6, 0.4, 60), 0.5 + np.random.default_rng(seed).normal(0, 0.05, 60))
        for seed in seeds
    ]

    def is_ever_told(training, validation):
        ends = range(1, len(validation) + 1)
        return any(overfits_since(training[:n], validation[:n]) is not None for n in ends)

    counts = {
        "false alarms at the end, falling": sum(overfits_since(*c) is not None for c in falling),
        "false alarms at the end, level": sum(overfits_since(*c) is not None for c in level),
        "false alarms at any epoch, falling": sum(is_ever_told(*c) for c in falling),
        "false alarms at any epoch, level": sum(is_ever_told(*c) for c in level),
    }
    for part_at in (8, 15):
        found = [overfits_since(*curves(40, part_at, noise=0.03, seed=seed)) for seed in seeds]
        near = [epoch is not None and abs(epoch - part_at) <= 4 for epoch in found]
        counts[f"found, parted at {part_at}"] = sum(epoch is not None for epoch in found)
        counts[f"within 4 epochs of {part_at}"] = sum(near)
    print("\n".join(f"{name}: {n} of {len(seeds)}" for name, n in counts.items()))
    assert list(counts.values()) == [0, 0, 0, 2, 20, 20, 20, 19]  # as the docstring says


def test_few_epochs_or_a_training_loss_that_rises_too_are_no_over_fitting():
    training, validation = curves(40, 10)
    assert overfits_since(training[:9], validation[:9]) is None
    assert overfits_since(validation, validation) is None
    assert overfits_since([], []) is None


def test_epochs_without_a_measurement_are_left_out():
    training, validation = (list(values) for values in curves(80, 21))
    held = [v if epoch % 2 == 1 else None for epoch, v in enumerate(validation, 1)]
    assert overfits_since(training, held) == 21


def test_a_network_that_learns_by_heart_is_told(shapes):
    random = np.random.default_rng(0)
    noise = shape_set(24, validation_fraction=0.5)
    noise.patches[:] = torch.from_numpy(
        random.normal(size=tuple(noise.patches.shape)).astype(np.float32)
    )
    events, model = train_with(
        noise, epochs=40, augment=False, schedule="constant", learning_rate=5e-3
    )
    told = [event.overfits_since for event in epochs_of(events)]
    assert told[-1] is not None
    assert model.card.scores["overfitting"]["epoch"] == told[-1]


# Hardware


def test_bfloat16_is_used_on_a_cpu_only_on_request(shapes):
    cpu = torch.device("cpu")
    assert not any(uses_bfloat16(wanted, cpu) for wanted in ("auto", "off"))
    assert uses_bfloat16("on", cpu) == cpu_knows_bfloat16()
    if not cpu_knows_bfloat16():
        pytest.skip("this processor has no instructions for bfloat16")
    _, model = train_with(shapes, mixed_precision="on")
    _, other = train_with(shapes, mixed_precision="auto")
    pairs = zip(model.network.parameters(), other.network.parameters(), strict=True)
    assert any(not torch.equal(a, b) for a, b in pairs)
    assert all(p.dtype == torch.float32 for p in model.network.parameters())


def test_a_deterministic_training_leaves_no_trace(shapes):
    _, model = train_with(shapes, deterministic=True)
    _, other = train_with(shapes)
    assert not torch.are_deterministic_algorithms_enabled()
    for name, tensor in model.network.state_dict().items():
        assert torch.equal(tensor, other.network.state_dict()[name])


def test_a_thread_prepares_items_in_order_and_ends_with_the_generator():
    before = threading.active_count()
    assert list(prefetched(range(50))) == list(range(50))
    items = prefetched(iter(range(10**9)))
    assert [next(items) for _ in range(3)] == [0, 1, 2]
    items.close()
    assert threading.active_count() == before


def test_an_error_in_the_preparing_thread_is_raised_where_items_are_used():
    def broken():
        yield 1
        raise KeyError("patch")

    items = prefetched(broken())
    assert next(items) == 1
    with pytest.raises(KeyError, match="patch"):
        next(items)


def test_rates_and_iterations_are_told_with_every_batch(shapes):
    events, model = train_with(shapes, schedule="constant", warm_up_steps=0)
    rates = {event.learning_rate for event in events if isinstance(event, BatchFinished)}
    assert rates == {TrainingSettings.learning_rate}
    assert model.card.scores["steps"] == 2 * shapes.batches_per_epoch(8)
    assert 0 <= model.card.scores["waiting_for_data"] < 1


def test_augmentation_of_the_settings_reaches_the_samples(shapes):
    still = {
        "flip_x": False, "rotation_min": 0.0, "rotation_max": 0.0, "scale_min": 1.0, "scale_max": 1.0, "crop": 0.0,
        "brightness": 0.0, "contrast": 0.0,
    }  # fmt: skip
    assert AugmentationSettings.of(TrainingSettings(**still)) is not None
    losses = [
        [e.training_loss for e in epochs_of(train_with(shapes, shuffle="never", **options)[0])]
        for options in (still, {"augment": False}, {})
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
    assert losses[2] != pytest.approx(losses[1], rel=1e-3)


def test_run_returns_the_model(shapes):
    model = run(train(shapes, settings=TrainingSettings(epochs=1), network_settings=SMALL))
    assert model.card.training["solver"] == "adamw"


# Command line


@pytest.mark.parametrize("command", ["classify", "segment"])
def test_every_setting_can_be_given_on_the_command_line(command):
    from napari_convnet.cli.app import app

    found = typer.main.get_command(app).commands["train"].commands[command]
    renamed = {"validation_fraction": "validation", "freeze_backbone": "freeze"}
    expected = {renamed.get(name, name) for name in field_options(TrainingSettings)}
    assert expected <= {parameter.name for parameter in found.params}


def test_settings_of_the_command_line_reach_the_training(tmp_path):
    from napari_convnet.cli.app import app

    random = np.random.default_rng(0)
    for k, name in enumerate(("dark", "bright")):
        (tmp_path / "images" / name).mkdir(parents=True)
        for index in range(8):
            pixels = random.integers(0, 100, (24, 24), np.uint8) + 100 * k
            tifffile.imwrite(tmp_path / "images" / name / f"{index}.tif", pixels.astype(np.uint8))
    arguments = [
        "--solver",
        "sgdm",
        "--schedule",
        "step",
        "--drop-period",
        "1",
        "--no-augment",
        "--flip-y",
    ]
    output = tmp_path / "model.safetensors"
    result = CliRunner().invoke(
        app,
        ["train", "classify", str(tmp_path / "images"), "-o", str(output), "--size", "24", "--epochs", "1",
         "--device", "cpu", *arguments],
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    training = load_model(output).card.training
    wanted = {
        "solver": "sgdm",
        "schedule": "step",
        "drop_period": 1,
        "augment": False,
        "flip_y": True,
    }
    assert {name: training[name] for name in wanted} == wanted
