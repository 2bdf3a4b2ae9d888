"""Training: the stages one after the other."""

import argparse
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from distillation.crops import Crops, centre_crop, load_images
from distillation.files import checkpoint_of, load_checkpoint, save_checkpoint
from distillation.lessons import STAGES, Stage
from distillation.muon import Muon
from distillation.student import Student, block_of
from distillation.teachers import Teachers

MUON_RATE, ADAM_RATE = 0.05, 0.01  # at their peaks
WARM_UP_STEPS = 50
COOLING = 0.4  # share of a stage after which the rates fall, in a line to 0
SETTLING = 0.11  # share of a stage after which the norms keep one set of statistics
SECONDS_PER_CHECKPOINT = 180
STEPS_PER_REPORT = 100


class Trainer:
    """One stage of training: the student, a linear map for each lesson, and their optimizers.

    Muon moves the convolutions, Adam the norms and the linear maps.
    """

    def __init__(
        self, stage: Stage, student: Student, teachers: Teachers, crops: Crops, device: str = "cpu"
    ) -> None:
        self.stage, self.student, self.teachers, self.crops = stage, student, teachers, crops
        self.device = device
        self.layers = sorted({layer for _, layer in stage.lessons})
        self.scales, widths = self._measure_layers()
        self.maps = nn.ModuleList(
            nn.Conv2d(student.channels(tap), widths[layer], 1, bias=False)
            for tap, layer in stage.lessons
        ).to(device, memory_format=torch.channels_last)
        for part in (student.convolutions, student.norms):
            for name, module in part.items():
                module.requires_grad_(block_of(name) in stage.learns)
        learning = [p for p in student.convolutions.parameters() if p.requires_grad]
        others = [p for p in student.norms.parameters() if p.requires_grad]
        self.muon = Muon(learning, MUON_RATE)
        self.adam = torch.optim.Adam(
            [*others, *self.maps.parameters()], ADAM_RATE, betas=(0.9, 0.98)
        )
        self.step, self.seconds, self.settled = 0, 0.0, False

    def _measure_layers(self, batches: int = 8) -> tuple[dict[str, float], dict[str, int]]:
        """Return (1 / root mean square over some crops, channels) of the teachers' layers."""
        squares, widths = dict.fromkeys(self.layers, 0.0), {}
        for _ in range(batches):
            for name, target in self.teachers.features(self._crops(), self.layers).items():
                squares[name] += target.float().square().mean().item() / batches
                widths[name] = target.shape[1]
        return {name: square**-0.5 for name, square in squares.items()}, widths

    def _crops(self) -> Tensor:
        return self.crops.batch(self.stage.crops, self.stage.crop).to(self.device)

    def train_step(self, progress: float) -> Tensor:
        """Take one step at ``progress`` (0..1); return each lesson's relative error."""
        started = time.monotonic()
        if progress > SETTLING and not self.settled:
            self.settle_norms()
        heat = min(1, (self.step + 1) / WARM_UP_STEPS, (1 - progress) / (1 - COOLING))
        for optimizer, rate in ((self.muon, MUON_RATE), (self.adam, ADAM_RATE)):
            for group in optimizer.param_groups:
                group["lr"] = heat * rate
        self._set_norms()
        errors = self.errors(self._crops(), thin=True)
        self.muon.zero_grad()
        self.adam.zero_grad()
        (errors * errors.new_tensor(self.stage.counts)).sum().backward()
        self.muon.step()
        self.adam.step()
        self.step += 1
        self.seconds += time.monotonic() - started
        return errors.detach()

    def _set_norms(self) -> None:
        """Normalise by batch where the stage teaches, until settled; elsewhere never."""
        self.student.eval()
        for name, norm in self.student.norms.items():
            norm.train(block_of(name) in self.stage.learns and not self.settled)

    def errors(self, images: Tensor, thin: bool = False) -> Tensor:
        """Return each lesson's mean squared error, its target scaled to unit mean square.

        thin: at full resolution compare every fourth pixel.  Block 1 learns easily, and its 64
        channels at every pixel would take half of the time.
        """
        targets = self.teachers.features(images, self.layers)
        errors = []
        with torch.autocast(self.device, torch.bfloat16):
            learnt = self.student(images, self.stage.runs)
            for (tap, layer), linear_map in zip(self.stage.lessons, self.maps, strict=True):
                x, target = learnt[tap], targets[layer]
                if thin and x.shape[-1] == images.shape[-1]:
                    row, column = self.step % 2, self.step // 2 % 2
                    x, target = x[:, :, row::2, column::2], target[:, :, row::2, column::2]
                rest = linear_map(x) - self.scales[layer] * target
                errors.append((rest * rest).mean(dtype=torch.float32))
        return torch.stack(errors)

    @torch.no_grad()
    def held_out_errors(self, images: list[Tensor]) -> list[float]:
        """Return each lesson's relative error over the centres of images not learnt from."""
        self.student.eval()
        error = energy = torch.zeros(len(self.stage.lessons), dtype=torch.float64)
        for image in images:
            crop = centre_crop(image)[None].to(self.device)
            targets = self.teachers.features(crop, self.layers)
            error = error + self.errors(crop).cpu()
            energy = energy + torch.tensor(
                [
                    (self.scales[layer] * targets[layer].float()).square().mean().item()
                    for _, layer in self.stage.lessons
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
        self._set_norms()
        norms = [norm for norm in self.student.norms.values() if norm.training]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # which means: a plain mean
        for _ in range(batches):
            self.student(self._crops(), self.stage.runs)
        for norm in norms:
            norm.momentum = 0.1
        self.settled = True

    def state(self) -> dict[str, Any]:
        """Return all that `restore` needs to go on exactly from here."""
        return {
            "stage": self.stage.name,
            "student": self.student.state_dict(),
            "maps": self.maps.state_dict(),
            "muon": self.muon.state_dict(),
            "adam": self.adam.state_dict(),
            "scales": self.scales,
            "generator": self.crops.generator.bit_generator.state,
            "step": self.step,
            "seconds": self.seconds,
            "settled": self.settled,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self.student.load_state_dict(state["student"])
        self.maps.load_state_dict(state["maps"])
        self.muon.load_state_dict(state["muon"])
        self.adam.load_state_dict(state["adam"])
        self.crops.generator.bit_generator.state = state["generator"]
        self.scales, self.step = state["scales"], state["step"]
        self.seconds, self.settled = state["seconds"], state["settled"]


def distill(arguments: argparse.Namespace) -> Student:
    """Run the stages that are still to run, with checkpoints; return the trained student."""
    torch.manual_seed(arguments.seed)
    learnt_from, held_out = load_images(arguments.images)
    crops = Crops(learnt_from, np.random.default_rng(arguments.seed))
    teachers = Teachers(arguments.teachers, arguments.device)
    student = Student().to(arguments.device, memory_format=torch.channels_last)
    checkpoint = checkpoint_of(arguments.output)
    saved = load_checkpoint(checkpoint) if arguments.resume else None
    first = [stage.name for stage in STAGES].index(saved["stage"]) if saved else 0
    for stage in STAGES[first:]:
        trainer = Trainer(stage, student, teachers, crops, arguments.device)
        if saved and saved["stage"] == stage.name:
            trainer.restore(saved)
        train(trainer, round(arguments.steps * stage.share), checkpoint, held_out)
        report(trainer, "held out", trainer.held_out_errors(held_out))
    return student


def train(trainer: Trainer, steps: int, checkpoint: Path, held_out: list[Tensor]) -> None:
    """Train one stage to its last step; a checkpoint every few minutes."""
    recent: list[Tensor] = []
    saved_at = trainer.seconds
    while trainer.step < steps:
        recent.append(trainer.train_step(trainer.step / steps))
        if trainer.step % STEPS_PER_REPORT == 0:
            report(trainer, "training", torch.stack(recent).mean(0).tolist())
            recent = []
        if trainer.seconds - saved_at > SECONDS_PER_CHECKPOINT:
            report(trainer, "held out", trainer.held_out_errors(held_out))
            save_checkpoint(checkpoint, trainer.state())
            saved_at = trainer.seconds
    save_checkpoint(checkpoint, trainer.state())


def report(trainer: Trainer, title: str, errors: list[float]) -> None:
    """Print one line: stage, seconds, step, and each lesson's relative error."""
    lessons = zip(trainer.stage.lessons, errors, strict=True)
    cells = "  ".join(f"{tap[4:]} {layer.split()[-1]} {e:.3f}" for (tap, layer), e in lessons)
    where = f"{trainer.stage.name} {trainer.seconds:6.0f} s {trainer.step:6d}"
    print(f"{where} {title:9} {cells}", flush=True)
