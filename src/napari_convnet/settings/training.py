"""How a network is trained: every option of NETWORKS.md, with defaults that need no touching."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any

from napari_convnet.errors import UserError
from napari_convnet.settings.fields import Checked


def _option(group: str, tooltip: str, **options: Any) -> dict[str, Any]:
    return {"group": group, "tooltip": tooltip, **options}


def _number(group: str, low: float, high: float, step: float, tooltip: str, label: str = ""):
    named = {"label": label} if label else {}
    return _option(group, tooltip, min=low, max=high, step=step, **named)


def _choice(group: str, choices: tuple[str, ...], tooltip: str, label: str = ""):
    named = {"label": label} if label else {}
    return _option(group, tooltip, choices=choices, **named)


@dataclass(frozen=True)
class TrainingSettings(Checked):
    """How a network is trained. The defaults work for a few dozen annotations on a CPU.

    Raises
    ------
    UserError
        CN-501 for a value of the wrong type or out of its range, or a smallest value above its largest.
    """

    epochs: Annotated[
        int,
        _option(
            "basic",
            "Passes over the training samples. More can help until the validation loss rises.",
            min=1,
            max=10_000,
        ),
    ] = 40
    max_seconds: Annotated[
        float,
        _number("basic", 0.0, 1e7, 10.0, "Stop after this many seconds and keep the best model; 0 means no limit.",
                "time limit (s)"),
    ] = 0.0  # fmt: skip
    batch_size: Annotated[
        int,
        _option("basic", "Samples per training step. Less memory with a smaller number.", min=1, max=4096),
    ] = 16  # fmt: skip
    learning_rate: Annotated[
        float,
        _number("basic", 1e-6, 1.0, 1e-6, "Size of a training step at the start; the schedule makes it smaller."),
    ] = 2e-3  # fmt: skip
    validation_fraction: Annotated[
        float,
        _number("basic", 0.0, 0.9, 0.05,
                "Share of the annotations that training never sees and the score is measured on.", "held out"),
    ] = 0.2  # fmt: skip
    augment: Annotated[
        bool,
        _option("augmentation",
                "Show flipped, turned, scaled and brightened copies: more variety from few annotations."),
    ] = True  # fmt: skip
    balance: Annotated[
        str,
        _choice("loss", ("weighted_loss", "balanced_sampling", "off"),
                "Let rare classes count more in the loss (by the inverse root of their counts), or show all "
                "classes equally often. Whole objects are never weighted: their patches show all classes equally "
                "often.", "balance classes"),
    ] = "weighted_loss"  # fmt: skip
    seed: Annotated[
        int,
        _option("hardware", "Same seed, same data, same machine: the same model.", min=0, max=2**31 - 1),
    ] = 0  # fmt: skip
    device: Annotated[
        str,
        _choice("hardware", ("auto", "cpu", "cuda", "mps"),
                "Where to compute; auto takes the graphics card when it really works."),
    ] = "auto"  # fmt: skip
    freeze_backbone: Annotated[
        bool,
        _option("transfer", "Train only the last layer of a pretrained network: fast, and good with few samples."),
    ] = False  # fmt: skip
    unfreeze_last_blocks: Annotated[
        int,
        _option("transfer", "Of a frozen network, let so many blocks before the last layer learn, too.",
                min=0, max=100),
    ] = 0  # fmt: skip
    backbone_learning_rate_factor: Annotated[
        float,
        _number("transfer", 0.0, 10.0, 0.01,
                "Learning rate of all layers before the last one, as a multiple; 0.1 keeps pretrained layers."),
    ] = 1.0  # fmt: skip
    solver: Annotated[
        str,
        _choice("solver", ("adamw", "adam", "sgdm", "rmsprop", "traingdx"),
                "How gradients become steps. sgdm: momentum; traingdx: momentum whose rate adapts by itself."),
    ] = "adamw"  # fmt: skip
    momentum: Annotated[
        float,
        _number("solver", 0.0, 0.999, 0.01,
                "Share of the last step in the next one (sgdm, traingdx); the first beta of adam and adamw."),
    ] = 0.9  # fmt: skip
    gradient_clipping: Annotated[
        float,
        _number("solver", 0.0, 1e6, 0.1, "Longer gradients are shortened to this length; 0 means never."),
    ] = 5.0  # fmt: skip
    schedule: Annotated[
        str,
        _choice("schedule", ("cosine", "constant", "step", "plateau"),
                "How the learning rate falls: along half a cosine, never, in steps, or when the loss stays."),
    ] = "cosine"  # fmt: skip
    drop_factor: Annotated[
        float,
        _number("schedule", 0.0, 1.0, 0.05, "Schedules step and plateau: each drop multiplies the rate by this."),
    ] = 0.1  # fmt: skip
    drop_period: Annotated[
        int,
        _option("schedule", "Step: epochs from drop to drop. Plateau: epochs without a lower loss before a drop.",
                min=1, max=10_000),
    ] = 10  # fmt: skip
    warm_up_steps: Annotated[
        int,
        _option("schedule", "The learning rate grows over these first steps; 0 means at once.", min=0, max=100_000),
    ] = 20  # fmt: skip
    shuffle: Annotated[
        str,
        _choice("schedule", ("every_epoch", "once", "never"),
                "Order of the samples to classify. Patches to segment are always drawn at random."),
    ] = "every_epoch"  # fmt: skip
    loss_goal: Annotated[
        float,
        _number("schedule", 0.0, 1e6, 0.001, "Stop when an epoch's training loss is this low; 0 means never."),
    ] = 0.0  # fmt: skip
    weight_decay: Annotated[
        float,
        _number("regularisation", 0.0, 1.0, 1e-6, "How strongly large weights are discouraged (L2).",
                "weight decay (L2)"),
    ] = 1e-4  # fmt: skip
    l1: Annotated[
        float,
        _number("regularisation", 0.0, 1.0, 1e-6, "How strongly all weights are drawn to exactly 0 (L1).", "L1"),
    ] = 0.0  # fmt: skip
    bias_learning_rate_factor: Annotated[
        float,
        _number("regularisation", 0.0, 10.0, 0.1, "Learning rate of the biases, as a multiple."),
    ] = 1.0  # fmt: skip
    loss: Annotated[
        str,
        _choice("loss", ("cross_entropy", "focal", "dice", "mean_squared_error"),
                "What is made small. Cross-entropy of two classes is the binary cross-entropy. Focal looks at hard "
                "samples; dice at overlap; mean squared error at probabilities."),
    ] = "cross_entropy"  # fmt: skip
    focal_gamma: Annotated[
        float,
        _number("loss", 0.0, 10.0, 0.1, "Focal loss: how little samples count that are right already."),
    ] = 2.0  # fmt: skip
    flip_x: Annotated[bool, _option("augmentation", "Mirror left and right.")] = True
    flip_y: Annotated[
        bool, _option("augmentation", "Mirror up and down; any rotation with flip x does that already.")
    ] = False  # fmt: skip
    rotation_min: Annotated[
        float,
        _number("augmentation", -180.0, 180.0, 1.0, "Smallest turn in degrees, counterclockwise."),
    ] = -180.0
    rotation_max: Annotated[
        float,
        _number("augmentation", -180.0, 180.0, 1.0, "Largest turn in degrees, counterclockwise."),
    ] = 180.0
    scale_min: Annotated[
        float, _number("augmentation", 0.1, 10.0, 0.05, "Smallest magnification.")
    ] = 0.8
    scale_max: Annotated[
        float, _number("augmentation", 0.1, 10.0, 0.05, "Largest magnification.")
    ] = 1.25
    translation_x_min: Annotated[
        float, _number("augmentation", -1e4, 1e4, 1.0, "Smallest shift to the right, in pixels.")
    ] = 0.0
    translation_x_max: Annotated[
        float, _number("augmentation", -1e4, 1e4, 1.0, "Largest shift to the right, in pixels.")
    ] = 0.0
    translation_y_min: Annotated[
        float, _number("augmentation", -1e4, 1e4, 1.0, "Smallest shift down, in pixels.")
    ] = 0.0
    translation_y_max: Annotated[
        float, _number("augmentation", -1e4, 1e4, 1.0, "Largest shift down, in pixels.")
    ] = 0.0
    crop: Annotated[
        float,
        _number("augmentation", 0.0, 1.0, 0.01,
                "Random crop: the frame moves by up to half of this share of the side, each way."),
    ] = 0.05  # fmt: skip
    brightness: Annotated[
        float,
        _number("augmentation", -1.0, 10.0, 0.05,
                "Largest change of brightness, in standard deviations of the image; -1: as suits the task."),
    ] = -1.0  # fmt: skip
    contrast: Annotated[
        float,
        _number("augmentation", -1.0, 1.0, 0.05, "Largest change of contrast, as a share; -1: as suits the task."),
    ] = -1.0  # fmt: skip
    validate_every: Annotated[
        int, _option("validation", "Measure after so many epochs or iterations.", min=1, max=1_000_000)
    ] = 1  # fmt: skip
    validate_unit: Annotated[
        str, _choice("validation", ("epochs", "iterations"), "What 'validate every' counts.")
    ] = "epochs"
    patience: Annotated[
        int,
        _option("validation", "Stop when so many measurements in a row gave no lower validation loss; 0 means never.",
                min=0, max=10_000),
    ] = 0  # fmt: skip
    weights_returned: Annotated[
        str,
        _choice("validation", ("best_score_one_standard_error", "best", "last"),
                "Which network is kept: the last one within one standard error of the highest score, the one with "
                "the highest score, or the last one."),
    ] = "best_score_one_standard_error"  # fmt: skip
    mixed_precision: Annotated[
        str,
        _choice("hardware", ("auto", "off", "on"),
                "Compute in bfloat16. auto: on graphics cards that gain from it; on: also on a CPU that knows it, "
                "where large networks train up to twice as fast."),
    ] = "auto"  # fmt: skip
    deterministic: Annotated[
        bool, _option("hardware", "Repeatable to the bit on a graphics card, too; slower there.")
    ] = False
    reduce_batch_on_out_of_memory: Annotated[
        bool,
        _option(
            "hardware",
            "Halve the batch, and then the patch, when memory runs out; say so and go on.",
        ),
    ] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("rotation", "scale", "translation_x", "translation_y"):
            low, high = getattr(self, f"{name}_min"), getattr(self, f"{name}_max")
            if low > high:
                raise UserError(
                    "CN-501", f"'{name}_min' is {low}, more than '{name}_max', which is {high}."
                )

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> TrainingSettings:
        """Return the settings that a model's card or a run of the project keeps.

        Names that are no settings are left out; what an older program did not know has its default.
        """
        names = {field.name for field in fields(cls)}
        known = {name: value for name, value in record.items() if name in names}
        if isinstance(known.get("balance"), bool):  # as it was kept until 2026
            known["balance"] = "weighted_loss" if known["balance"] else "off"
        return cls(**known)
