"""What shows or holds the answers of shipped pose weights, made anew when there are new weights of a name.

    python docs/pictures/demo.py cmsa_n_pose_32x24

draws ``docs/demo.png`` and writes the answers of these weights into ``tests/inference/data/shipped_answers.json``.
``how_it_works.py`` beside this file draws the rest; ``docs/app.png`` is a photo of the page that ``cmsa app`` shows.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from cmsa import Predictor
from cmsa.data.boxes import DetectionFile
from cmsa.data.image import read_image
from cmsa.models.pretrained import default_weights
from cmsa.visualization.annotate import annotate
from cmsa.visualization.picture_file import save_picture

ROOT = Path(__file__).resolve().parents[2]
PARK, BOXES = ROOT / "examples" / "people" / "park.jpg", ROOT / "examples" / "people" / "boxes.json"
WIDTH = 1200
"""Of the picture, in pixels."""
ANSWERS = ROOT / "tests" / "inference" / "data" / "shipped_answers.json"


def draw_demo(path: Path) -> None:
    """The photo of two people as ``cmsa predict --save-pictures`` draws it, with the default weights."""
    predictor = Predictor.from_pretrained(default_weights("pose"))
    found = DetectionFile.read(BOXES).find(PARK)
    assert found is not None
    people = predictor(PARK, found.boxes)
    photo = read_image(PARK)
    drawn = annotate(photo, people, predictor.crops(photo, [person.box for person in people]))
    height = round(drawn.shape[0] * WIDTH / drawn.shape[1])
    save_picture(np.asarray(Image.fromarray(drawn).resize((WIDTH, height), Image.Resampling.LANCZOS)), path)


def keep_answers(names: list[str]) -> None:
    """What weights say of the photo, for the test that holds later versions to it."""
    answers = json.loads(ANSWERS.read_text(encoding="utf-8"))
    for name in names:
        for flip_test in (False, True):
            people = Predictor.from_pretrained(name)(PARK, BOXES, flip_test=flip_test)
            kept = [{"xy": person.xy.round(4).tolist(), "scores": person.scores.round(6).tolist()} for person in people]
            answers[name + ("_flip" if flip_test else "")] = kept
    ANSWERS.write_text(json.dumps(answers) + "\n", encoding="utf-8")


if __name__ == "__main__":
    draw_demo(ROOT / "docs" / "demo.png")
    keep_answers(sys.argv[1:])
