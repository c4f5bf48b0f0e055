"""Draws the main comparisons as horizontal bars; needs matplotlib."""

import matplotlib

matplotlib.use("Agg")

from matplotlib import patches, pyplot, ticker

INK, FAINT, GRID = "#1f2430", "#737a8c", "#e6e8ee"
TIMES = "\N{MULTIPLICATION SIGN}"
BLUE, TEAL = "#2f6fde", "#2a9d8f"


def draw(bars, path):
    """Bars of (what, how many times better, than whom), on a logarithmic scale."""
    if not bars:
        return
    bars = sorted(bars, key=lambda bar: bar[1])
    official = {name: BLUE if "lmstudio" in name else TEAL for _, _, name in bars}
    figure, axes = pyplot.subplots(figsize=(9, 0.33 * len(bars) + 1.6), dpi=140)
    figure.set_layout_engine("constrained", rect=(0.01, 0.01, 0.98, 0.99))
    at = range(len(bars))
    times = [bar[1] for bar in bars]
    axes.barh(at, [t - 1 for t in times], left=1, height=0.64, color=[official[b[2]] for b in bars])
    axes.axvline(1, color=FAINT, linewidth=0.8)
    for position, value in zip(at, times, strict=True):
        rounded = float(f"{value:.2g}")
        words = f"{rounded:,.0f} {TIMES}" if value >= 10 else f"{rounded:.1f} {TIMES}"
        axes.annotate(words, (max(value, 1), position), xytext=(5, 0), textcoords="offset points",
                      va="center", color=INK, fontsize=9, weight="bold")  # fmt: skip
    axes.set_xscale("log")
    axes.set_xlim(min(1.0, times[0] / 1.2), times[-1] * 4)
    axes.set_ylim(-0.7, len(bars) - 0.3)
    axes.set_yticks(at, [bar[0] for bar in bars], color=INK, fontsize=9)
    axes.xaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.tick_params(axis="both", which="both", length=0)
    axes.tick_params(axis="x", colors=FAINT, labelsize=8)
    axes.spines[:].set_visible(False)
    axes.grid(axis="x", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_title("How many times better this package does", loc="left", color=INK, fontsize=13,
                   weight="bold", pad=24)  # fmt: skip
    axes.text(0, 1.015, "the same server, in one run; logarithmic scale",
              transform=axes.transAxes, color=FAINT, fontsize=9, va="bottom")  # fmt: skip
    keys = [patches.Patch(color=BLUE, label="than the official lmstudio package")]
    if TEAL in official.values():
        keys.append(patches.Patch(color=TEAL, label="than the clients of other APIs"))
    axes.legend(handles=keys, loc="lower right", frameon=False, fontsize=9, labelcolor=INK)
    figure.savefig(path)
    pyplot.close(figure)
