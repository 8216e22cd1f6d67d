"""What a person does with the Web UI."""

from differential.commands import payload, payloads

from .case import look

# What Everlog does not serve, so a page that asks for it shows an error.
NOT_SERVED = ("/worker-deployments", "/nexus", "/batch-operations", "/activities", "/activity-count")


@look
def lists_with_filters(t):
    """Workflows in a list, counted by status, and those that a query names."""
    t.start()
    t.start("Stuck", f"{t.id}-stuck")
    t.open("workflows")
    t.see(t.id)
    t.see("Running")
    t.open(f"workflows?query=%60WorkflowType%60%3D%22Stuck%22+AND+%60WorkflowId%60+STARTS_WITH+%22{t.id}%22")
    t.see(f"{t.id}-stuck")
    t.page.get_by_test_id("workflow-count").get_by_text("1", exact=True).wait_for()


@look
def a_history(t):
    """The events of a run that is done, as a table, as JSON and in groups."""
    t.start(input=payloads("a <i>name</i>"))
    t.until_events(t.id, 10)
    t.call(
        "SignalWorkflowExecution",
        workflow_execution={"workflow_id": t.id},
        signal_name="finish",
        input=payloads("done"),
    )
    t.until_status(t.id, "COMPLETED")
    t.open_workflow(t.id)
    t.see("a <i>name</i> is done")
    t.open_workflow(t.id, "history")
    t.see("Workflow Execution Completed")
    t.see("Activity Task Scheduled")
    t.open_workflow(t.id, "history/json")
    t.page.locator(".cm-content:visible").first.wait_for()


@look
def tabs_of_a_workflow(t):
    """Everything else that is shown of a run."""
    t.start(memo={"fields": {"colour": payload("red")}})
    t.until_events(t.id, 10)
    t.open_workflow(t.id, "memo")
    t.see("colour")
    t.open_workflow(t.id, "search-attributes")
    t.see("BuildIds")
    t.open_workflow(t.id, "relationships")
    t.see("Relationships")
    # Who that is, a heartbeat says, which takes up to a minute.
    t.open_workflow(t.id, "workers")
    t.see("Workers")
    t.open_workflow(t.id, "call-stack")
    t.see("Refresh Call Stack")
    t.open_workflow(t.id, "user-metadata")
    t.see("Summary")


@look
def a_pending_activity(t):
    """An activity that fails again and again, with its last failure."""
    t.start("Stuck")
    t.until(lambda: failed_once(t), "a failed attempt")
    t.open_workflow(t.id, "pending-activities")
    t.see("stubborn")
    t.see("not yet <b>bold</b>")


def failed_once(t):
    return any(pending.HasField("last_failure") for pending in t.describe(t.id).pending_activities)


@look
def starting(t):
    """A workflow that is started by the form."""
    t.open("workflows/start-workflow")
    for field, value in (("workflowId", t.id), ("taskQueue", t.queue), ("workflowType", "Order")):
        t.page.locator(f"input#{field}").fill(value)
    t.page.locator(".cm-content").first.click()
    t.page.keyboard.type('"typed"')
    t.page.get_by_test_id("start-workflow-button").click()
    t.until(lambda: known(t), "the workflow")
    t.until_events(t.id, 10)


def known(t):
    query = f"WorkflowId = '{t.id}'"
    return t.call("CountWorkflowExecutions", query=query).count == 1


@look
def signalling(t):
    """A signal with an argument, which ends the workflow."""
    t.start()
    t.until_events(t.id, 10)
    t.open_workflow(t.id)
    t.act("Send a Signal")
    t.page.get_by_test_id("signal-select-button").locator("visible=true").click()
    t.page.get_by_role("option", name="finish").first.click()
    t.page.locator(".cm-content:visible").first.click()
    t.page.keyboard.type('"by hand"')
    t.page.locator("button[type=submit]:visible", has_text="Submit").first.click()
    t.until_status(t.id, "COMPLETED")
    t.see("is by hand")


@look
def cancelling(t):
    """A request to cancel."""
    t.start()
    t.until_events(t.id, 10)
    t.open_workflow(t.id)
    t.act("Request Cancellation")
    t.confirm()
    t.until_status(t.id, "CANCELED")


@look
def pausing(t):
    """A pause, where that is switched on."""
    t.start()
    t.until_events(t.id, 10)
    t.open_workflow(t.id)
    t.press("Pause")
    t.confirm()
    t.until_status(t.id, "PAUSED")


@look
def terminating(t):
    """An end by force."""
    t.start()
    t.until_events(t.id, 10)
    t.open_workflow(t.id)
    t.act("Terminate")
    t.confirm()
    t.until_status(t.id, "TERMINATED")


@look
def querying(t):
    """A query that the worker answers."""
    t.start()
    t.until_events(t.id, 10)
    t.open_workflow(t.id, "query")
    t.press("Run Query")
    t.see("waiting")


@look
def schedules(t):
    """A schedule in the list and by itself, paused and unpaused."""
    action = {"workflow_id": t.id, "workflow_type": {"name": "Order"}, "task_queue": {"name": t.queue}}
    spec = {"interval": [{"interval": {"seconds": 3600}}]}
    schedule = {"spec": spec, "action": {"start_workflow": action}}
    t.call("CreateSchedule", schedule_id=t.id, schedule=schedule, request_id=t.id)
    t.open("schedules")
    t.see(t.id)
    t.open(f"schedules/{t.id}")
    t.see("Every 1 hour(s)")
    t.call("DeleteSchedule", schedule_id=t.id)


@look
def namespaces(t):
    """All namespaces, and the settings of one."""
    t.open("/namespaces")
    t.see("default")
    t.open("/namespaces/default")
    t.see("Retention Period")


@look(refused=NOT_SERVED)
def workers(t):
    """Who works on a queue, and all workers."""
    t.start()
    t.until_events(t.id, 10)
    t.open(f"task-queues/{t.queue}")
    t.see("Running")
    t.see("@")
    t.press("Pollers")
    t.see("@")
    t.open("workers")
    t.see("@")


@look(refused=NOT_SERVED)
def pages_of_what_is_not_served(t):
    """They open, and say that there is nothing or that something is wrong."""
    pages = ("batch-operations", "activities", "nexus-operations", "worker-deployments", "/nexus", "archival")
    for path in pages:
        t.open(path)
        t.page.locator("[data-testid=navigation-header], h1").locator("visible=true").first.wait_for()
        t.page.wait_for_timeout(500)
