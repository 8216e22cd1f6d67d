"""Timers, markers, and what a workflow may change about itself."""

from ..case import script
from ..commands import (
    cancel_timer,
    command,
    complete_workflow,
    failure,
    modify_properties,
    payload,
    payloads,
    record_marker,
    start_timer,
    upsert_search_attributes,
)


@script
def timer_is_cancelled(t):
    """A cancelled timer is written as such and never fires; its id is free again."""
    t.start()
    t.step(start_timer("t", after=1))
    t.signal()
    t.step(cancel_timer("t"))
    t.signal()
    t.step(start_timer("t", after=0.2))
    t.step(complete_workflow())


@script
def timer_started_and_cancelled_at_once(t):
    """Both commands in one task are both written."""
    t.start()
    t.step(start_timer("t"), cancel_timer("t"), start_timer("t", after=0.2))
    t.step(complete_workflow())


@script
def timers_fire_in_order(t):
    """Timers of different lengths, the shortest first; the workflow sees each."""
    t.start()
    t.step(start_timer("long", after=1.5), start_timer("short", after=0.3), start_timer("never", after=500))
    t.step()
    t.step(complete_workflow())


@script(seconds=2)
def timer_of_no_time(t):
    """A timer of zero seconds is a timer like any other."""
    t.start()
    t.step(start_timer(after=0))
    t.step(complete_workflow())


@script
def timer_with_metadata(t):
    """User metadata of a command is kept on its event."""
    t.start()
    metadata = {"user_metadata": {"summary": payload("why"), "details": payload("how")}}
    t.step({**start_timer("t", after=0.2), **metadata}, {**record_marker(), **metadata})
    t.step({**complete_workflow(), **metadata})


@script(seconds=2)
def timer_fires_behind_a_started_task(t):
    """A firing that meets a started task is written after its completion."""
    t.start()
    t.step(start_timer("t", after=1))
    t.signal()
    task = t.poll()
    t.sleep(2)
    t.signal("after the firing")
    t.complete(task, record_marker())
    t.step(complete_workflow())


@script
def markers(t):
    """Side effects, local activities, patches: markers with everything that they can carry."""
    t.start()
    t.step(
        record_marker("Version", details={"id": payloads("patch"), "version": payloads(1)}),
        record_marker(
            "LocalActivity",
            details={"result": payloads("r"), "data": payloads({"id": 1})},
            header={"fields": {"h": {"data": b"v"}}},
            failure=failure("failed", "Kind", non_retryable=True, details=payloads("d")),
        ),
        record_marker("core_patch", details={"patch-data": payloads({"id": "p", "deprecated": False})}),
    )
    t.signal()
    t.step(complete_workflow())


@script
def search_attributes_are_changed(t):
    """What SDKs do for every patch: the versions become a search attribute."""
    t.start()
    t.step(upsert_search_attributes(TemporalChangeVersion=["p-1"]))
    t.describe()
    t.signal()
    t.step(upsert_search_attributes(TemporalChangeVersion=["p-1", "q-1"]))
    t.describe()
    t.signal()
    t.step(upsert_search_attributes(TemporalChangeVersion=[]), complete_workflow())
    t.describe()


@script
def search_attributes_that_are_refused(t):
    """Values of another type and attributes of the system."""
    t.start()
    wrong = {"metadata": {"encoding": b"json/plain", "type": b"Keyword"}, "data": b"{}"}
    for fields in (
        {"TemporalChangeVersion": wrong},
        {"TemporalChangeVersion": {"data": b"not json"}},
        {"ExecutionStatus": payload("Completed")},
        {"BuildIds": payload(["a"])},
    ):
        t.step(
            command("UPSERT_WORKFLOW_SEARCH_ATTRIBUTES", {"search_attributes": {"indexed_fields": fields}})
        )
        t.signal()
    t.step(complete_workflow())


@script
def memo_is_changed(t):
    """Properties are added and replaced; a null payload removes one."""
    t.start(memo={"fields": {"kept": payload(1), "replaced": payload(2), "removed": payload(3)}})
    null = {"metadata": {"encoding": b"binary/null"}}
    t.step(modify_properties(replaced="two", added=4))
    t.describe()
    t.signal()
    t.step(
        command("MODIFY_WORKFLOW_PROPERTIES", {"upserted_memo": {"fields": {"removed": null}}}),
        complete_workflow(),
    )
    t.describe()
