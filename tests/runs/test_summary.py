"""Frames to success by hand."""

from cotutor.runs.summary import SuccessWindow


def frames_to_success(episodes: list[tuple[int, bool]]) -> dict[str, int | None]:
    window = SuccessWindow()
    for frames, success in episodes:
        window.add(frames, success)
    return window.frames_to


def test_a_threshold_needs_a_full_window():
    assert frames_to_success([(i, True) for i in range(99)])["0.5"] is None
    assert frames_to_success([(i, True) for i in range(100)])["0.95"] == 99


def test_each_threshold_is_the_first_time():
    episodes = [(i, False) for i in range(100)] + [(100 + i, True) for i in range(100)] + [(200, False)] * 100
    found = frames_to_success(episodes)
    assert found == {"0.5": 149, "0.75": 174, "0.9": 189, "0.95": 194}
