"""The animation in the README can be made again, from the window of the example."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIMIT = 50.0  # seconds


@pytest.mark.gui
def test_the_animation_of_the_stop_button_can_be_made(tmp_path):
    pytest.importorskip("PySide6", reason="did not run: PySide6 is not here")
    image = pytest.importorskip("PIL.Image", reason="did not run: Pillow is not here")
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / "images" / "stop_animation.py", tmp_path / "stop.gif"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert done.returncode == 0, done.stderr
    with (
        image.open(tmp_path / "stop.gif") as made,
        image.open(ROOT / "docs" / "images" / "stop.gif") as kept,
    ):
        assert made.size == kept.size
        assert min(made.n_frames, kept.n_frames) > 10  # equal ones next to each other are joined
