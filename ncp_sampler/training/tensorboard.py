"""TensorBoard curves of a training run, written by PyTorch's ``SummaryWriter``.

A ``TensorBoardLog`` is a callback for ``train(on_epoch=...)``.
"""

from __future__ import annotations

import os
from types import TracebackType
from typing import TYPE_CHECKING

from ncp_sampler import checks
from ncp_sampler.training.progress import Epoch

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class TensorBoardLog:
    """Log of the loss and metric of each epoch, in a folder that ``tensorboard --logdir`` displays.

    Args:
        folder: Folder for the curves, created if missing.
        name: Prefix of the names of the curves, which distinguishes several training runs in one
            folder; "" for no prefix.

    Raises:
        ValueError: The folder is not a path, or the name is not a string.
        ImportError: The package tensorboard is missing.

    Examples:
        Pass the log to ``train(on_epoch=)``, or call it with epochs:

        >>> with TensorBoardLog("runs/first") as log:
        ...     log(Epoch(number=1, loss=0.9, metric=61.0))
    """

    def __init__(self, folder: str | os.PathLike[str], *, name: str = "") -> None:
        checks.instance("folder", folder, str | os.PathLike, "be the path of a folder")
        self._prefix = f"{checks.text('name', name)}/" if name != "" else ""
        self._writer: SummaryWriter = find_writer()(os.fspath(folder))

    def __call__(self, epoch: Epoch) -> None:
        """Write the result of an epoch, and flush the file."""
        self._writer.add_scalar(f"{self._prefix}loss", epoch.loss, epoch.number)
        self._writer.add_scalar(f"{self._prefix}metric", epoch.metric, epoch.number)
        self._writer.flush()

    def text(self, name: str, markdown: str) -> None:
        """Write a Markdown text, such as ``explain_markdown(trial)``."""
        self._writer.add_text(name, markdown)

    def close(self) -> None:
        """Close the writer."""
        self._writer.close()

    def __enter__(self) -> TensorBoardLog:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def find_writer() -> type[SummaryWriter]:
    """Return the class ``SummaryWriter`` of PyTorch.

    Raises:
        ImportError: The package tensorboard is missing.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ImportError(
            f"TensorBoardLog needs tensorboard ({error}); install it with: pip install tensorboard"
        ) from error
    return SummaryWriter
