"""The outcome, for people (a table and a plot) and for programs (a JSON file)."""

from __future__ import annotations

import json
import random
from dataclasses import asdict
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sweep.audit import Best, Results, Summary
from sweep.grid import Task

DOTS, BEST, FAINT = "#4C78A8", "#E45756", "#666666"


def table(summary: Summary) -> str:
    """Return the best scores and the counts as text."""
    lines = [f"{'family':<22}{'accuracy':>8}   parameters of the best model"]
    for family, best in summary.best.items():
        lines.append(f"{readable(family):<22}{best.score:>8.4f}   {settings(best)}")
    lines += [
        "",
        f"{summary.tasks} tasks: {summary.computed} computed now, {summary.reused} reused",
        f"{summary.kills} workers killed, {summary.takeovers} claims taken over from dead workers",
        f"{summary.entries} entries into the training function, {summary.interrupted} of them cut short",
        f"{summary.lost} results lost, {summary.computed_twice} computed twice by living workers",
        f"{summary.seconds} seconds",
    ]
    return "\n".join(lines)


def readable(family: str) -> str:
    """Return the name of a family as one writes it."""
    return {"svc": "SVC", "k_nearest_neighbors": "k-nearest neighbors"}.get(family, family.replace("_", " "))


def settings(best: Best) -> str:
    """Return the parameters of a model as one writes them."""
    return ", ".join(f"{name}={value}" for name, value in best.parameters.items())


def save_json(summary: Summary, path: Path) -> None:
    """Write the summary to a file."""
    path.write_text(json.dumps(asdict(summary), indent=4) + "\n")


def save_plot(summary: Summary, tasks: list[Task], results: Results, path: Path) -> None:
    """Draw the score of each model, one row of dots for each family, the best family on top."""
    # A Figure of its own, without pyplot, is drawn by Agg into the file: no window, no display needed.
    figure = Figure(figsize=(9, 1.4 + 0.7 * len(summary.best)), layout="constrained")
    axes = figure.add_subplot()
    for row, (family, best) in enumerate(summary.best.items()):
        scores = [
            results[task.key]["score"] for task in tasks if task.family == family if task.key in results
        ]
        draw_row(axes, row, scores, best)
    axes.set_yticks(range(len(summary.best)), [readable(family) for family in summary.best])
    axes.invert_yaxis()
    axes.set_xlabel("mean accuracy in cross-validation (3 x 5 folds)")
    axes.set_title(
        f"Recognising hand-written digits: {len(results)} models, the best of each family in red",
        loc="left",
        pad=16,
        fontsize=11,
    )
    axes.margins(y=0.12)
    axes.grid(axis="x", color="#dddddd")
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    figure.savefig(path, dpi=150)


def draw_row(axes: Axes, row: int, scores: list[float], best: Best) -> None:
    """Draw the models of one family: equal scores beside each other, the best one named."""
    rng = random.Random(row)
    heights = [row + rng.uniform(-0.1, 0.1) for _ in scores]
    axes.scatter(scores, heights, s=36, color=DOTS, alpha=0.55, linewidths=0)
    axes.scatter([best.score], [row], s=70, color=BEST, zorder=3)
    axes.annotate(
        f"{best.score:.3f}  {settings(best)}",
        (best.score, row),
        xytext=(4, 12),
        textcoords="offset points",
        ha="right",
        fontsize=8,
        color=FAINT,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},  # covers the grid lines
    )
