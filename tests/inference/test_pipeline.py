import threading

import numpy as np
import pytest
import torch

from cmsa.inference.detectors import Detections
from cmsa.inference.pipeline import FrameResult, Pipeline
from cmsa.inference.predictor import Predictor
from cmsa.inference.streams import Frame, Notice
from cmsa.models.create import create_model
from cmsa.structures import Box


@pytest.fixture(scope="module")
def predictor():
    torch.manual_seed(0)
    return Predictor(create_model("cmsa_n", "pose", (32, 24), dims=(16, 16, 16)))


def frames(count, source="a.mp4", live=False, step=0.04):
    random = np.random.default_rng(0)
    for number in range(count):
        picture = random.integers(0, 256, (60, 90, 3), dtype=np.uint8)
        yield Frame(picture, source, number, step * number, live=live)


class Wanderers:
    """Finds two people: one walks right, one stands; in every seventh frame nobody."""

    source = "wanderers"

    def __init__(self):
        self.seen = 0

    def __call__(self, picture, name=None):
        self.seen += 1
        if self.seen % 7 == 0:
            return Detections((), (), (), self.source)
        boxes = Box(self.seen, 10, 20, 40), Box(60, 5, 20, 40)
        return Detections(boxes, (0.9, 0.8), ("person",) * 2, self.source)


def test_results_are_those_of_the_predictor_in_order(predictor):
    for size in (1, 5, 32):
        results = list(Pipeline(predictor, Wanderers(), batch_size=size).run(frames(8)))
        assert [result.frame.number for result in results] == list(range(8))
        for result in results:
            expected = predictor(result.frame.picture, list(result.detections.boxes))
            assert len(result.people) == len(expected) == (0 if result.frame.number % 7 == 6 else 2)
            for person, other in zip(result.people, expected, strict=True):
                np.testing.assert_allclose(person.xy, other.xy, atol=1e-3)
            assert [crop.box for crop in result.cut.regions] == list(result.detections.boxes)
            assert not result.whole


def test_people_keep_their_ids_and_each_source_begins_anew(predictor):
    def both():
        yield from frames(5, "a.mp4")
        yield from frames(5, "b.mp4")

    results = list(Pipeline(predictor, Wanderers(), track=True).run(both()))
    assert [list(result.identities) for result in results] == [[1, 2]] * 6 + [[]] + [[1, 2]] * 3


def test_smoothing_keeps_still_what_trembles(predictor):
    raw = list(Pipeline(predictor, Wanderers(), track=True).run(frames(6)))
    smooth = list(Pipeline(predictor, Wanderers(), track=True, smooth=True).run(frames(6)))

    def path(results):
        return np.array([result.people[1].xy for result in results])

    np.testing.assert_allclose(path(smooth)[0], path(raw)[0], atol=1e-3)
    assert np.abs(np.diff(path(smooth), axis=0)).mean() < 0.8 * np.abs(np.diff(path(raw), axis=0)).mean()
    # Two frames of one time do not stop it.
    assert len(list(Pipeline(predictor, Wanderers(), track=True, smooth=True).run(frames(6, step=0)))) == 6


def test_a_detector_that_fails_costs_one_frame(predictor):
    class Moody(Wanderers):
        def __call__(self, picture, name=None):
            if self.seen == 2:
                self.seen += 1
                raise ValueError("burnt")
            return super().__call__(picture, name)

    def items():
        yield Notice("b.jpg", "cannot be decoded")
        yield from frames(4)

    results = list(Pipeline(predictor, Moody()).run(items()))
    assert [item.text if isinstance(item, Notice) else item.frame.number for item in results] == [
        *("cannot be decoded", 0, 1, "burnt", 3)
    ]


def test_without_a_detector_the_whole_picture_is_taken_and_said_to_be(predictor):
    (result,) = Pipeline(predictor).run(frames(1))
    assert isinstance(result, FrameResult)
    assert result.whole
    np.testing.assert_allclose(result.people[0].xy, predictor(result.frame.picture)[0].xy, atol=1e-3)


@pytest.mark.parametrize(("live", "most"), [(True, 12), (False, 44)])
def test_it_reads_no_further_ahead_than_its_queues(predictor, live, most):
    read = []

    def items():
        for frame in frames(500, live=live):
            read.append(frame.number)
            yield frame

    stream = Pipeline(predictor, Wanderers()).run(items())
    for done in range(5):
        next(stream)
        assert len(read) <= done + most
    stream.close()


def test_a_camera_s_frame_does_not_wait_for_a_full_batch(predictor):
    more = threading.Event()

    def camera():
        yield next(frames(1, live=True))
        assert more.wait(5)

    stream = Pipeline(predictor, Wanderers(), batch_size=32).run(camera())
    assert next(stream).frame.number == 0
    more.set()
    assert list(stream) == []


def test_an_error_of_the_source_comes_out(predictor):
    def items():
        yield from frames(2)
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        list(Pipeline(predictor, Wanderers()).run(items()))
