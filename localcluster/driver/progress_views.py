"""Where progress bars are shown, and how they look: at the bottom of a terminal, or below a notebook's cell."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from typing import Any, NamedTuple, Protocol

from localcluster.launcher.bottom_lines import BottomLines, can_keep_lines

MOST_BARS = 3  # of a terminal
ROWS_OF_A_BAR = 4  # of a terminal, so that most of a small one is left


class StageProgress(NamedTuple):
    """A stage at one moment; counts of tasks."""

    stage_id: int
    attempt: int
    name: str
    tasks: int
    done: int
    running: int
    seconds: float


class ProgressView(Protocol):
    def show(self, stages: Sequence[StageProgress]) -> None:
        """Bars for these stages and for no others."""

    def close(self) -> None:
        """Take all bars away, for good."""


def progress_view() -> ProgressView | None:
    """Where this process can show bars: None when neither a notebook nor a terminal would show them to a person."""
    if _is_notebook():
        return NotebookBars()
    try:
        fd = sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):  # there is none, it is no file, it is closed
        return None
    return TerminalBars(fd, sys.stderr.encoding) if can_keep_lines(fd) else None


# --- terminals -----------------------------------------------------------------------------------------------------


class TerminalBars:
    def __init__(self, fd: int, encoding: str) -> None:
        self._lines = BottomLines(fd)
        self._ascii = not encoding.lower().startswith("utf")

    def show(self, stages: Sequence[StageProgress]) -> None:
        if not stages:
            self._lines.clear()
            return
        columns, rows = self._lines.size()
        shown = stages[: min(MOST_BARS, rows // ROWS_OF_A_BAR)]
        self._lines.show([meter(stage, columns - 1, self._ascii) for stage in shown])

    def close(self) -> None:
        self._lines.close()


_BAR = "{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt}"
_LAYOUTS = (  # of tqdm, from the widest to the narrowest, and whether they show what the stage does
    (True, f"{{desc}}: {_BAR} [{{elapsed}}<{{remaining}}, {{rate_fmt}}{{postfix}}]"),
    (True, f"{{desc}}: {_BAR} [{{elapsed}}<{{remaining}}, {{rate_fmt}}]"),
    (False, f"{{desc}}: {_BAR} [{{elapsed}}<{{remaining}}, {{rate_fmt}}]"),
    (False, f"{{desc}}: {_BAR} [{{elapsed}}<{{remaining}}]"),
    (False, f"{{desc}}: {_BAR}"),
    (False, _BAR),
)


def meter(stage: StageProgress, columns: int, ascii: bool = False) -> str:
    """As much about a stage as leaves a bar that can be read, in at most so many columns."""
    from tqdm import tqdm  # not with the module: loading it takes longer than starting an executor
    from tqdm.utils import disp_len

    def text(layout: tuple[bool, str], columns: int | None) -> str:
        named, bar_format = layout
        return tqdm.format_meter(
            stage.done,
            stage.tasks,
            stage.seconds,
            ncols=columns,
            prefix=_label(stage) if named else f"stage {stage.stage_id}",
            ascii=ascii,
            unit="task",
            bar_format=bar_format,
            postfix=f"{stage.running} running",
        )

    # Without a width, tqdm makes the bar ten columns wide.
    fitting = (layout for layout in _LAYOUTS if disp_len(text(layout, None)) <= columns)
    return text(next(fitting, _LAYOUTS[-1]), columns)


def _label(stage: StageProgress) -> str:
    """``stage 3 count at job.py:7``: without the path's directories."""
    function, at, place = stage.name.rpartition(" at ")
    name = f"{function}{at}{os.path.basename(place)}"
    return f"stage {stage.stage_id} " + "".join(letter if letter.isprintable() else "?" for letter in name)


# --- notebooks -----------------------------------------------------------------------------------------------------


class NotebookBars:
    """Bars in a notebook: tqdm's, which are widgets where there are widgets."""

    def __init__(self) -> None:
        self._bars: dict[tuple[int, int], Any] = {}  # {(stage id, attempt): bar}

    def show(self, stages: Sequence[StageProgress]) -> None:
        shown = {(stage.stage_id, stage.attempt): stage for stage in stages}
        for key in self._bars.keys() - shown.keys():
            bar = self._bars.pop(key)
            bar.n = bar.total  # an unfinished one would stay, in red
            bar.close()
        for key, stage in shown.items():
            bar = self._bars.get(key) or self._bars.setdefault(key, _notebook_bar(stage))
            bar.n = stage.done
            bar.set_postfix_str(f"{stage.running} running")

    def close(self) -> None:
        self.show([])


def _notebook_bar(stage: StageProgress) -> Any:
    # Without a delay it would be drawn before its numbers are there. The rate is that of the whole time.
    bar = _tqdm()(total=stage.tasks, desc=_label(stage), unit="task", leave=False, smoothing=0, delay=1e-9)
    bar.start_t -= stage.seconds
    return bar


@cache
def _tqdm() -> Any:
    """What is right for the notebook, and has no thread that redraws it: we do."""
    if find_spec("ipywidgets") is None:  # which tqdm.auto warns of
        from tqdm import tqdm
    else:
        from tqdm.auto import tqdm
    return type("Bar", (tqdm,), {"monitor_interval": 0})


def _is_notebook() -> bool:
    """Whether IPython runs in a kernel, and not in a terminal."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and hasattr(shell, "kernel")
