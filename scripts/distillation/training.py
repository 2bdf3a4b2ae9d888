"""Training: the student learns to predict each of the teacher's layers from its own."""

import argparse
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor, nn

from distillation import Features
from distillation.crops import Crops, centre_crop, load_images
from distillation.files import checkpoint_of, load_checkpoint, save_checkpoint
from distillation.lesson import Cells, MappedError
from distillation.muon import Muon
from distillation.student import SLIM, Student
from distillation.teacher import Teacher
from nst.vgg.architecture import numbers

# What an error that is smaller by a given share counts: the default recipe paints with relu1_1,
# relu2_1, relu3_1, relu3_3 and relu4_1, others with relu4_2 and relu5_1.
COUNTS = {
    "relu1_1": 1.0,
    "relu1_2": 0.5,
    "relu2_1": 1.0,
    "relu2_2": 0.5,
    "relu3_1": 1.5,
    "relu3_2": 0.5,
    "relu3_3": 1.5,
    "relu4_1": 2.0,
    "relu4_2": 0.7,
    "relu4_3": 0.3,
    "relu5_1": 0.7,
    "relu5_2": 0.1,
    "relu5_3": 0.1,
}
CROP, CROPS, WORKERS = 128, 2, 2  # pixels; a worker and step; threads
MUON_RATE, ADAM_RATE = 0.05, 0.01  # at their peaks
WARM_UP_STEPS = 50
COOLING = 0.4  # share of the steps after which the rates fall, in a line to 0
SETTLING = 0.12  # share of the steps after which the norms keep one set of statistics
SECONDS_PER_CHECKPOINT = 180
STEPS_PER_REPORT = 100


class Trainer:
    """The student, a linear map to each of the teacher's layers, and their optimizers.

    Muon moves the convolutions, Adam the norms and the linear maps.  A step's crops are shared out
    to WORKERS threads, which see the whole way through to their gradients alone: a core that has
    other work to do delays them once a step, not once a layer.
    """

    def __init__(
        self, student: Student, teacher: Teacher, crops: Crops, device: str = "cpu"
    ) -> None:
        self.student, self.teacher, self.crops, self.device = student, teacher, crops, device
        self.scales, widths = self._measure_layers()
        self.maps = nn.ModuleDict(
            {tap: nn.Linear(SLIM.channels(tap), widths[tap], bias=False) for tap in COUNTS}
        ).to(device)
        self.muon = Muon(student.convolutions.parameters(), MUON_RATE)
        self.adam = torch.optim.Adam(
            [*student.norms.parameters(), *self.maps.parameters()], ADAM_RATE, betas=(0.9, 0.98)
        )
        self.step, self.seconds, self.settled = 0, 0.0, False
        self.learning = [*student.parameters(), *self.maps.parameters()]
        self._workers = ThreadPoolExecutor(WORKERS)

    def _measure_layers(self, batches: int = 8) -> tuple[dict[str, float], dict[str, int]]:
        """Return (1 / root mean square over some crops, channels) of the teacher's layers."""
        squares, widths = dict.fromkeys(COUNTS, 0.0), {}
        for number in range(batches):
            for tap, target in self.teacher.features(self._crops(number)).items():
                squares[tap] += target.float().square().mean().item() / batches
                widths[tap] = target.shape[1]
        return {tap: square**-0.5 for tap, square in squares.items()}, widths

    def _crops(self, number: int) -> Tensor:
        return self.crops.batch(number, CROPS, CROP).to(self.device)

    def train_step(self, progress: float) -> Tensor:
        """Take one step at ``progress`` (0..1); return each lesson's relative error."""
        started = time.monotonic()
        if progress >= SETTLING and not self.settled:
            self.settle_norms()
        heat = min(1, (self.step + 1) / WARM_UP_STEPS, (1 - progress) / (1 - COOLING))
        for optimizer, rate in ((self.muon, MUON_RATE), (self.adam, ADAM_RATE)):
            for group in optimizer.param_groups:
                group["lr"] = heat * rate
        self.student.train(not self.settled)
        numbers_of_batches = [self.step * WORKERS + worker for worker in range(WORKERS)]
        errors, gradients = zip(*self._workers.map(self._learn, numbers_of_batches), strict=True)
        for parameter, *parts in zip(self.learning, *gradients, strict=True):
            parameter.grad = sum(parts) / WORKERS
        self.muon.step()
        self.adam.step()
        self.step += 1
        self.seconds += time.monotonic() - started
        return torch.stack(errors).mean(0)

    def _learn(self, number: int) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return each lesson's relative error on a batch, and the gradients of all that learns."""
        images = self._crops(number)
        errors = self._errors(images, self.teacher.features(images), number)
        loss = (errors.log() * errors.new_tensor(list(COUNTS.values()))).sum()
        return errors.detach(), torch.autograd.grad(loss, self.learning)

    def _errors(self, images: Tensor, targets: Features, number: int | None = None) -> Tensor:
        """Return each lesson's mean squared error, its target scaled to unit mean square.

        number: of the batch, which says where the lower layers are compared; None: everywhere.
        """
        errors = []
        with torch.autocast(self.device, torch.bfloat16):
            for tap, x in self.student(images).items():
                weight, scale = self.maps[tap].weight, self.scales[tap]
                cells = compared(tap, number)
                errors.append(MappedError.apply(x, weight, targets[tap], scale, cells))
        return torch.stack(errors)

    @torch.no_grad()
    def held_out_errors(self, images: list[Tensor]) -> list[float]:
        """Return each lesson's relative error over the centres of images not learnt from."""
        self.student.eval()
        error = energy = torch.zeros(len(COUNTS), dtype=torch.float64)
        for image in images:
            crop = centre_crop(image)[None].to(self.device)
            targets = self.teacher.features(crop)
            error = error + self._errors(crop, targets).cpu()
            energy = energy + torch.tensor(
                [
                    (self.scales[tap] * targets[tap].float()).square().mean().item()
                    for tap in COUNTS
                ]
            )
        return (error / energy).tolist()

    @torch.no_grad()
    def settle_norms(self, batches: int = 60) -> None:
        """Fix the norms' statistics at plain means over fresh batches, for good.

        Until here they differ from batch to batch, which lets the first steps be long, but is a
        noise that no linear map can undo: when it ended after 1,703 steps, the error at relu3_1
        was .046 instead of .086 within fifty steps.
        """
        self.student.train()
        for norm in self.student.norms.values():
            norm.reset_running_stats()
            norm.momentum = None  # which means: a plain mean
        for number in range(batches):
            self.student(self._crops(self.step + number))
        self.settled = True

    def state(self) -> dict[str, Any]:
        """Return all that `restore` needs to go on exactly from here."""
        return {
            "student": self.student.state_dict(),
            "maps": self.maps.state_dict(),
            "muon": self.muon.state_dict(),
            "adam": self.adam.state_dict(),
            "scales": self.scales,
            "step": self.step,
            "seconds": self.seconds,
            "settled": self.settled,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self.student.load_state_dict(state["student"])
        self.maps.load_state_dict(state["maps"])
        self.muon.load_state_dict(state["muon"])
        self.adam.load_state_dict(state["adam"])
        self.scales, self.step = state["scales"], state["step"]
        self.seconds, self.settled = state["seconds"], state["settled"]


def compared(tap: str, number: int | None) -> Cells:
    """Return where a batch is compared: at a quarter of blocks 1 to 3, at all of the others.

    These layers have many features and learn easily.  The quarter is another in every batch.
    """
    if number is None or numbers(tap)[0] > 3:
        return slice(None), slice(None)
    return slice(number // 2 % 2, None, 2), slice(number // 4 % 2, None, 2)


def distill(arguments: argparse.Namespace) -> Student:
    """Train to the last step, with a checkpoint every few minutes; return the student."""
    torch.manual_seed(arguments.seed)
    if arguments.device == "cpu":
        torch.set_num_threads(1)  # for each of the trainer's two
    learnt_from, held_out = load_images(arguments.images)
    teacher = Teacher(arguments.teacher, arguments.device)
    student = Student().to(arguments.device, memory_format=torch.channels_last)
    trainer = Trainer(student, teacher, Crops(learnt_from, arguments.seed), arguments.device)
    checkpoint = checkpoint_of(arguments.output)
    if arguments.resume:
        trainer.restore(load_checkpoint(checkpoint))
    recent: list[Tensor] = []
    saved_at = trainer.seconds
    while trainer.step < arguments.steps:
        recent.append(trainer.train_step(trainer.step / arguments.steps))
        if trainer.step % STEPS_PER_REPORT == 0:
            report(trainer, "training", torch.stack(recent).mean(0).tolist())
            recent = []
        if trainer.seconds - saved_at > SECONDS_PER_CHECKPOINT or trainer.step == arguments.steps:
            report(trainer, "held out", trainer.held_out_errors(held_out))
            save_checkpoint(checkpoint, trainer.state())
            saved_at = trainer.seconds
    return student


def report(trainer: Trainer, title: str, errors: list[float]) -> None:
    """Print one line: seconds, step, and each lesson's relative error."""
    cells = "  ".join(f"{tap[4:]} {e:.3f}" for tap, e in zip(COUNTS, errors, strict=True))
    print(f"{trainer.seconds:6.0f} s {trainer.step:6d} {title:9} {cells}", flush=True)
