"""Silence that should not pass for success."""

from __future__ import annotations

from tidemill.base.hashing import TreeEntry
from tidemill.base.ids import StepName
from tidemill.plan.graph import Step
from tidemill.run.notice import groups_of, notice_groups

SPLIT = Step(StepName("split"))


def tree(*paths: str) -> list[TreeEntry]:
    return [TreeEntry(p, "d", 1) for p in paths]


def test_a_label_lost_in_a_split_is_noticed_and_named() -> None:
    data = tree("cat/1.png", "dog/1.png", "panda/1.png")
    (found,) = notice_groups(SPLIT, {"data": data}, {"train": tree("cat/1.png", "dog/1.png")})
    assert found.message == "3 label groups went into `split`, but `train` has 2 (missing: panda)"


def test_several_flat_inputs_are_groups_of_their_own() -> None:
    inputs = {f"animal_{i}": tree("a.jpg", "b.jpg") for i in range(3)}
    (found,) = notice_groups(SPLIT, inputs, {"train": tree("0/a.jpg")})
    assert "3 label groups" in found.message


def test_a_model_folder_is_not_taken_for_labels() -> None:
    inputs = {"train": tree("cat/1.png", "dog/1.png")}
    assert notice_groups(SPLIT, inputs, {"model": tree("variables/v.bin", "saved_model.pb")}) == []
    assert notice_groups(SPLIT, inputs, {"model": tree("best/model.keras")}) == []


def test_all_labels_kept_is_silence() -> None:
    data = tree("cat/1.png", "dog/1.png")
    assert notice_groups(SPLIT, {"data": data}, {"train": data, "test": data}) == []


def test_a_folder_with_files_at_its_top_has_no_groups() -> None:
    assert groups_of(tree("a/1", "b")) == ()
