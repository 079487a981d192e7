"""TensorBoard: epochs of trainings as curves, written by PyTorch's own writer.

``train`` knows nothing of it: a log is a function of an ``Epoch``, for ``train(on_epoch=...)``.
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
    """Writes each epoch's loss and metric into a folder that ``tensorboard --logdir`` shows.

    Args:
        folder: Of this training's curves; made where it is missing.
        name: Before the curves' names, for several trainings in one folder; "" for none.

    Raises:
        ValueError: No path, or no name.
        ImportError: The package tensorboard is missing.

    Examples:
        Give it to ``train(on_epoch=)``.

        >>> with TensorBoardLog("runs/first") as log:
        ...     log(Epoch(number=1, loss=0.9, metric=61.0))
    """

    def __init__(self, folder: str | os.PathLike[str], *, name: str = "") -> None:
        checks.instance("folder", folder, str | os.PathLike, "be the path of a folder")
        self._prefix = f"{checks.text('name', name)}/" if name != "" else ""
        self._writer: SummaryWriter = find_writer()(os.fspath(folder))

    def __call__(self, epoch: Epoch) -> None:
        """Writes an epoch, at once."""
        self._writer.add_scalar(f"{self._prefix}loss", epoch.loss, epoch.number)
        self._writer.add_scalar(f"{self._prefix}metric", epoch.metric, epoch.number)
        self._writer.flush()

    def text(self, name: str, markdown: str) -> None:
        """Writes a text, such as ``explain_markdown(trial)``."""
        self._writer.add_text(name, markdown)

    def close(self) -> None:
        """Ends the writer."""
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
    """PyTorch's writer.

    Raises:
        ImportError: The package tensorboard is missing.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ImportError(
            f"TensorBoardLog needs tensorboard ({error}); install it with: "
            "pip install 'ncp_sampler[tensorboard]'"
        ) from error
    return SummaryWriter
