"""`temporal workflow reset` and `update-options`, `temporal batch`, and commands that take a query."""

import re
import time

from ..case import story

NOBODY = "--task-queue nobody-polls-this-queue"


@story
def reset(t):
    """To an event, to the first and to the last task, and what the old run says of it."""
    t.run(f"workflow start --type Box --task-queue {t.queue} -w {t.id}")
    t.run(f"workflow signal -w {t.id} --name put -i '\"one\"'")
    t.run(f"workflow query -w {t.id} --type count")
    t.run(f"workflow reset -w {t.id} -e 4 --reason again")
    t.run(f"workflow query -w {t.id} --type count")
    t.run(f"workflow reset -w {t.id} -t FirstWorkflowTask --reason again --reapply-exclude Signal")
    t.run(f"workflow query -w {t.id} --type count")
    t.run(f"workflow signal -w {t.id} --name put -i '\"two\"'")
    t.run(f"workflow query -w {t.id} --type count")
    t.run(f"workflow reset -w {t.id} -t LastWorkflowTask --reason again", json=False)
    t.run(f"workflow query -w {t.id} --type count")
    t.run(f"workflow reset -w {t.id} -e 1 --reason again", text=True)
    t.run(f"workflow reset -w {t.id}-nobody -e 4 --reason again", text=True)
    t.run(f"workflow signal -w {t.id} --name finish")
    t.run(f"workflow result -w {t.id}")


@story
def update_options(t):
    """Priority is no option of the command; the override is."""
    t.run(f"workflow start --type Lonely {NOBODY} -w {t.id}")
    t.run(f"workflow update-options -w {t.id} --versioning-override-behavior auto_upgrade", text=True)
    t.run(f"workflow show -w {t.id}", text=True)
    t.run(f"workflow terminate -w {t.id}")


def own_namespace(t):
    """One batch runs in a namespace at a time."""
    name = f"ns-{t.nonce}-{t.id.rpartition('.')[2].partition('-')[0]}".replace("_", "-")
    t.quietly(f"operator namespace create -n {name} --retention 24h")
    deadline = time.monotonic() + 30
    while t.execute(f"workflow count -n {name}").returncode and time.monotonic() < deadline:
        time.sleep(0.2)
    return name


def several(t, namespace, count=3):
    """Workflows without a worker, and a filter that finds them."""
    for i in range(count):
        t.quietly(f"workflow start -n {namespace} --type Lonely {NOBODY} -w {t.id}-{i}")
    query = "WorkflowType = 'Lonely' AND ExecutionStatus = 'Running'"
    t.until(f"workflow count -n {namespace} -q \"{query}\" -o json", f'"count": "{count}"')
    return f'-q "{query}" --reason cleaning --yes'


def job(t, command):
    """Begins a batch, waits for its end, and shows it."""
    namespace = command.split(" -n ")[1].split()[0]
    said = t.quietly(f"{command} -o json")
    found = re.search(r'"batchJobId": "([^"]+)"', said)
    if not found:
        t.lines.append(f"no job in {said!r}")
        return
    job_id = found[1]
    t.until(f"batch describe -n {namespace} --job-id {job_id} -o json", "BATCH_OPERATION_STATE_COMPLETED")
    t.run(f"batch describe -n {namespace} --job-id {job_id}", text=True)


@story
def batches(t):
    """Signalled, asked to stop, reset and deleted by a filter."""
    namespace = own_namespace(t)
    query = several(t, namespace)
    job(t, f"workflow signal -n {namespace} --name go {query}")
    t.run(f"workflow show -n {namespace} -w {t.id}-0", json=False)
    job(t, f"workflow reset -n {namespace} -t FirstWorkflowTask {query}")
    t.run(f"workflow show -n {namespace} -w {t.id}-1", json=False)
    job(t, f"workflow cancel -n {namespace} {query}")
    job(t, f"workflow terminate -n {namespace} {query}")
    t.keys(f"batch list -n {namespace}", "jobId", "state", "startTime", "closeTime")
    query = "WorkflowType = 'Lonely'"
    t.until(f"workflow count -n {namespace} -q \"ExecutionStatus != 'Running'\" -o json", '"count": "6"')
    job(t, f'workflow delete -n {namespace} -q "{query}" --reason cleaning --yes')


@story
def batch_terminated(t):
    """A batch that is stopped on its way. It has to be long: the judge is quick."""
    namespace = own_namespace(t)
    several(t, namespace)
    targets = [{"workflow_id": f"{t.id}-{i}"} for i in range(3)] * 300
    t.call(
        "StartBatchOperation",
        namespace=namespace,
        job_id=t.id,
        reason="cleaning",
        executions=targets,
        max_operations_per_second=1,
        signal_operation={"signal": "go"},
    )
    t.run(f"batch terminate -n {namespace} --job-id {t.id} --reason enough", json=False)
    t.until(f"batch describe -n {namespace} --job-id {t.id} -o json", "BATCH_OPERATION_STATE_FAILED")
    t.run(f"batch terminate -n {namespace} --job-id {t.id} --reason enough", text=True)


@story
def batches_of_nobody(t):
    """Unknown jobs, and a filter that cannot be read."""
    namespace = own_namespace(t)
    t.run(f"batch describe -n {namespace} --job-id nobody", text=True)
    t.run(f"batch terminate -n {namespace} --job-id nobody --reason enough", text=True)
    t.run(f"batch list -n {namespace}", text=True)
    t.run(f"workflow terminate -n {namespace} -q 'not a query' --reason x --yes", text=True)


@story
def namespace_deleted(t):
    """The namespace is gone at once."""
    namespace = own_namespace(t)
    t.quietly(f"workflow start -n {namespace} --type Lonely {NOBODY} -w {t.id}")
    t.run(f"operator namespace delete -n {namespace} --yes", json=False)
    t.run(f"operator namespace describe -n {namespace}", json=False)
    t.run(f"workflow describe -n {namespace} -w {t.id}", json=False)


@story
def options_behind_a_reset(t):
    """A reset that also changes whose versions the workflow follows."""
    t.run(f"workflow start --type Box --task-queue {t.queue} -w {t.id}")
    t.run(f"workflow query -w {t.id} --type count")
    t.run(
        f"workflow reset with-workflow-update-options -w {t.id} -t FirstWorkflowTask --reason again"
        " --versioning-override-behavior auto_upgrade"
    )
    t.run(f"workflow terminate -w {t.id}")
