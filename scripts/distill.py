"""Train vgg16-slim: VGG16's thirteen convolutions, narrower, taught by VGG16 itself.

The student starts from random weights, and each of its layers learns to predict the teacher's of
the same name.  Its relative error is the mean squared error of the best 1x1 linear map from the
one to the other, over the teacher's mean square.  Nothing of the teacher's weights is copied.
Batch normalisation steadies the training and is folded away at the end.

    python scripts/distill.py --teacher WEIGHTS --images IMAGES --output models/vgg16-slim.onnx
    python scripts/distill.py --teacher WEIGHTS --images IMAGES --judge slim.npz --pairs pairs.txt

An output that ends in .onnx is the model file that ships; one in .npz has the bare arrays, which
--judge compares.  --export writes either once more, from the checkpoint beside it.  Training
with --resume goes on from there; it may end at another number of --steps than it was begun with.

Needs the extra ``train`` (PyTorch).  WEIGHTS holds vgg16.npz, Oxford's, IMAGES the folders
photos/ and paintings/.  The rooms are in ``distillation/`` beside this script.
"""

import argparse
from pathlib import Path

from distillation.files import SUFFIXES, checkpoint_of, load_checkpoint, save_weights
from distillation.judging import judge
from distillation.student import Student
from distillation.training import distill

from nst.vgg.architecture import POOLINGS


def main(argv: list[str] | None = None) -> None:
    """Train, export or judge."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.judge and not arguments.pairs:
        parser.error("--judge needs pairs to paint, found none; give --pairs FILE")
    if arguments.judge:
        judge(arguments)
        return
    if arguments.output.suffix not in SUFFIXES:
        wanted = f"--output must end in {' or '.join(SUFFIXES)}"
        parser.exit(2, f"distill: {wanted}, found {arguments.output}; rename it.\n")
    if arguments.export:
        student = Student()
        student.load_state_dict(load_checkpoint(checkpoint_of(arguments.output))["student"])
    else:
        student = distill(arguments)
    arrays = student.folded()
    save_weights(arguments.output, arrays)
    parameters = sum(array.size for array in arrays.values())
    print(f"{arguments.output}: {parameters:,} parameters, {4 * parameters:,} bytes of float32")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--teacher", type=Path, required=True, help="folder of the teacher's vgg16.npz")
    add("--images", type=Path, required=True, help="folder of photos/ and paintings/")
    add("--output", type=Path, default=Path("vgg16-slim.npz"), help="to write: .npz or .onnx")
    add("--steps", type=int, default=2430, help="of training")
    add("--seed", type=int, default=0, help="of the first weights and of the crops")
    add("--device", default="cpu", help="where PyTorch trains: cpu or cuda")
    add("--resume", action="store_true", help="go on from the checkpoint beside the output")
    add("--export", action="store_true", help="only write the output from its checkpoint")
    add("--judge", type=Path, nargs="+", metavar="FILE", help="only compare trained networks")
    add("--pairs", type=Path, help="file of contents and styles for --judge, in --images")
    add("--paintings", type=Path, default=Path("judged"), help="folder for what --judge paints")
    add("--size", type=int, default=384, help="of what --judge paints, pixels")
    add("--evaluations", type=int, default=150, help="that --judge paints a picture in")
    add("--real-pooling", choices=POOLINGS, default="average", help="of the network that judges")
    add("--style-weight", type=float, default=1, help="factor for what --judge paints")
    return parser


if __name__ == "__main__":
    main()
