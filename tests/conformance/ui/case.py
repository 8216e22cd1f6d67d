"""What a look at the Web UI is written with.

A look opens pages, waits for what a person would see, and clicks. It fails when that does not come, and also
when the page asked the API for something and was refused, unless the look expects that.
"""

import dataclasses
import re

from differential.commands import payloads
from harness import wire

LOOKS = []
SEEN_SECONDS_MAX = 45


@dataclasses.dataclass
class Look:
    name: str
    doc: str
    function: object
    # Calls that may be refused: parts of their paths.
    refused: tuple


def look(function=None, *, refused=()):
    """Registers a look. Its docstring says what it is about."""

    def register(function):
        LOOKS.append(Look(f"ui/{function.__name__}", function.__doc__, function, refused))
        return function

    return register(function) if function else register


class Case:
    def __init__(self, look, page, base, connection, queue, nonce):
        self.look = look
        self.page = page
        self.base = base
        self.connection = connection
        self.queue = queue
        self.id = f"{look.name.partition('/')[2]}-{nonce}"
        self.complaints = []
        page.set_default_timeout(SEEN_SECONDS_MAX * 1000)
        page.on("response", self.answered)
        page.on("pageerror", lambda error: self.complaints.append(f"error of the page: {error}"))

    def answered(self, response):
        path = response.url.removeprefix(self.base)
        if response.status >= 400 and not any(part in path for part in self.look.refused):
            self.complaints.append(f"{response.status} {response.request.method} {path}")

    # The page

    def open(self, path):
        """Opens a page of the namespace `default`, or any page by its full path."""
        path = path if path.startswith("/") else f"/namespaces/default/{path}"
        self.page.goto(self.base + path)

    def open_workflow(self, workflow_id, tab="timeline"):
        self.open(f"workflows/{workflow_id}/{self.run_of(workflow_id)}/{tab}")
        self.page.get_by_test_id("workflow-id-heading").wait_for()

    def see(self, text):
        """Waits until a text is visible, in one piece."""
        pattern = re.compile(re.escape(text))
        self.page.get_by_text(pattern).locator("visible=true").first.wait_for()

    def press(self, text):
        self.page.locator("button:visible", has_text=text).first.click()

    def act(self, item):
        """Chooses an item of the menu of a workflow."""
        self.page.locator("button[aria-controls=workflow-actions]:visible").last.click()
        self.page.locator("#workflow-actions:visible").get_by_text(item, exact=True).click()

    def confirm(self):
        self.page.get_by_test_id("confirm-modal-button").locator("visible=true").click()

    # The server

    def call(self, method, **fields):
        request = wire.METHODS.request(method, {"namespace": "default", **fields})
        return wire.finish(self.connection.start(method, request, timeout=20, metadata=wire.CLI_METADATA))

    def start(self, kind="Order", workflow_id=None, **fields):
        workflow_id = workflow_id or self.id
        if kind == "Order":
            fields.setdefault("input", payloads("pears"))
        self.call(
            "StartWorkflowExecution",
            workflow_id=workflow_id,
            request_id=workflow_id,
            workflow_type={"name": kind},
            task_queue={"name": self.queue},
            **fields,
        )
        return workflow_id

    def describe(self, workflow_id):
        return self.call("DescribeWorkflowExecution", execution={"workflow_id": workflow_id})

    def run_of(self, workflow_id):
        return self.describe(workflow_id).workflow_execution_info.execution.run_id

    def until(self, condition, what):
        for _ in range(SEEN_SECONDS_MAX * 10):
            if condition():
                return
            self.page.wait_for_timeout(100)
        raise TimeoutError(f"waited in vain for {what}")

    def until_status(self, workflow_id, status):
        def has_it():
            found = self.describe(workflow_id).workflow_execution_info
            kind = found.DESCRIPTOR.fields_by_name["status"].enum_type.values_by_number[found.status]
            return kind.name == f"WORKFLOW_EXECUTION_STATUS_{status}"

        self.until(has_it, f"{workflow_id} to be {status}")

    def until_events(self, workflow_id, count):
        def has_them():
            return self.describe(workflow_id).workflow_execution_info.history_length >= count

        self.until(has_them, f"{count} events of {workflow_id}")
