"""What every `RunStore` promises: inherit, provide a `store` fixture, and get these tests."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tidemill.base.errors import ConflictError
from tidemill.base.hashing import FileStamp
from tidemill.base.ids import JobName, StepName
from tidemill.record.ports import AssetRow, KnownStep, RunStore
from tidemill.run.events import JobCreated, JobFinished, StepFinished, StepKept, StepReused, StepStarted
from tidemill.run.state import Status

AT = "2026-11-20T22:27:00.000000Z"


def created(name: str, at: str = AT) -> JobCreated:
    """A job with one step."""
    return JobCreated(
        JobName(name), at, display_name="shown", source="/p.yml", steps=({"name": "a"},), tags={"k": "v"}, owner="1:2"
    )


def finished(name: str, *, key: str = "k1", status: Status = Status.COMPLETED) -> StepFinished:
    """Its step's end."""
    return StepFinished(
        JobName(name),
        AT,
        step=StepName("a"),
        status=status,
        outputs={"o": "folder:1"},
        key=key,
        parts={"code": "c"},
        reusable=status is Status.COMPLETED,
        metrics={"accuracy": 0.5},
    )


def asset(version: str, digest: str = "d") -> AssetRow:
    """A version of a data asset."""
    return AssetRow("data", "cats", version, digest, AT, "/p", "uri_folder", tags={"a": "b"}, body={"x": [1]})


class StoreContract:
    """Each test gets a fresh `store`."""

    def test_events_come_back_as_they_were_in_order(self, store: RunStore) -> None:
        events = [created("j"), StepStarted(JobName("j"), AT, step=StepName("a"), handle="pid:1:2"), finished("j")]
        store.append(events)
        assert [e for _, e in store.events("j")] == events
        last = store.events("j")[-1][0]
        assert store.events("j", after=last) == []
        assert store.events("other") == []

    def test_a_job_has_a_row_that_follows_its_events(self, store: RunStore) -> None:
        store.append([created("j")])
        row = store.job("j")
        assert row is not None
        assert (row.status, row.display_name, row.owner, row.tags) == ("Running", "shown", "1:2", {"k": "v"})
        store.append([JobFinished(JobName("j"), AT, status=Status.FAILED)])
        row = store.job("j")
        assert row is not None
        assert (row.status, row.ended_at) == ("Failed", AT)

    def test_jobs_are_listed_newest_first(self, store: RunStore) -> None:
        for name in ("b", "a", "c"):
            store.append([created(name)])
        assert [j.name for j in store.jobs()] == ["c", "a", "b"]
        assert [j.name for j in store.jobs(limit=1)] == ["c"]
        store.archive_job("c", archived=True)
        assert [j.name for j in store.jobs()] == ["a", "b"]

    def test_jobs_that_run_are_found_among_all(self, store: RunStore) -> None:
        for name in ("b", "a", "c"):
            store.append([created(name)])
        store.append([JobFinished(JobName("a"), AT, status=Status.FAILED)])
        store.archive_job("b", archived=True)
        assert [j.name for j in store.running_jobs()] == ["c", "b"]
        assert store.running_jobs()[0] == store.job("c")

    def test_steps_of_all_jobs_are_known_as_their_last_fact_left_them(self, store: RunStore) -> None:
        began = StepStarted(JobName("j"), AT, step=StepName("a"), key="k0")
        store.append([created("j"), began, finished("j"), created("i"), replace(began, job=JobName("i"), key="k3")])
        assert store.known_steps() == [KnownStep("j", "k1", ("folder:1",)), KnownStep("i", "k3", ())]
        again = StepReused(JobName("j"), AT, step=StepName("a"), key="k2", outputs={"o": "folder:2"})
        store.append([replace(began, key="k2"), again, finished("i", key="", status=Status.FAILED)])
        assert store.known_steps() == [KnownStep("j", "k2", ("folder:2",)), KnownStep("i", "k3", ("folder:1",))]
        kept = StepKept(JobName("i"), AT, step=StepName("a"), outputs={"o": "folder:3"})
        store.append([replace(began, job=JobName("i"), key="k4"), kept])
        assert store.known_steps()[1] == KnownStep("i", "k4", ("folder:1", "folder:3"))

    def test_a_job_name_is_taken_once(self, store: RunStore) -> None:
        store.append([created("j")])
        with pytest.raises(ConflictError):
            store.append([created("j")])
        assert len(store.events("j")) == 1

    def test_only_a_completed_step_is_remembered(self, store: RunStore) -> None:
        store.append([created("j"), finished("j", status=Status.FAILED)])
        assert store.find_step("k1") is None
        store.append([finished("j")])
        found = store.find_step("k1")
        assert found is not None
        assert (found.job, found.step, found.outputs, found.metrics) == (
            "j", "a", {"o": "folder:1"}, {"accuracy": 0.5}
        )  # fmt: skip
        assert [(s.key, s.job, s.step, s.refs) for s in store.cached_steps()] == [("k1", "j", "a", ("folder:1",))]
        store.forget_step("k1")
        assert store.find_step("k1") is None

    def test_a_steps_last_parts_are_kept_by_pipeline(self, store: RunStore) -> None:
        store.append([created("j"), finished("j")])
        assert store.last_parts("/p.yml", "a") == {"code": "c"}
        assert store.last_parts("/other.yml", "a") is None
        store.append([StepReused(JobName("j"), AT, step=StepName("a"), key="k2", parts={"code": "d"})])
        assert store.last_parts("/p.yml", "a") == {"code": "d"}

    def test_stamps_are_found_at_and_below_a_path_only(self, store: RunStore) -> None:
        stamp = FileStamp(1, 2, 3, 4)
        store.remember_stamps(dict.fromkeys(("/a", "/a/b", "/a/b/c", "/ab", "/b"), (stamp, "d")))
        assert store.find_stamps("/a") == dict.fromkeys(("/a", "/a/b", "/a/b/c"), (stamp, "d"))

    def test_a_version_never_changes(self, store: RunStore) -> None:
        store.add_asset(asset("1"))
        assert store.add_asset(asset("1")) == asset("1")
        with pytest.raises(ConflictError):
            store.add_asset(asset("1", digest="other"))
        assert store.assets("data", "cats") == [asset("1")]

    def test_assets_are_listed_newest_first_and_can_be_hidden(self, store: RunStore) -> None:
        for version in ("2", "10", "1"):
            store.add_asset(asset(version))
        assert [a.version for a in store.assets("data")] == ["1", "10", "2"]
        assert store.archive_asset("data", "cats", "10", archived=True) == 1
        assert [a.version for a in store.assets("data")] == ["1", "2"]
        assert store.assets("environment") == []

    def test_documents_are_kept_replaced_and_dropped(self, store: RunStore) -> None:
        store.put("deployments", "blue", {"v": 1})
        store.put("deployments", "green", {"v": 2})
        store.put("deployments", "blue", {"v": 3})
        assert store.documents("deployments") == {"blue": {"v": 3}, "green": {"v": 2}}
        store.delete("deployments", "blue")
        assert store.get("deployments", "blue") is None

    def test_what_fails_half_way_leaves_nothing(self, store: RunStore) -> None:
        def half() -> None:
            with store.exclusive():
                store.put("c", "k", {})
                raise KeyError("k")

        with pytest.raises(KeyError):
            half()
        assert store.get("c", "k") is None
