"""`temporal worker deployment`."""

from ..case import story

LAMBDA = (
    "--aws-lambda-function-arn arn:aws:lambda:us-east-1:123456789012:function:f:1"
    " --aws-lambda-assume-role-arn arn:aws:iam::123456789012:role/r --aws-lambda-assume-role-external-id x"
)


def named(t):
    return t.id.replace(".", "-").replace("/", "-").replace("_", "-")


@story
def nobody(t):
    """A deployment that is not there."""
    name = named(t)
    t.run(f"worker deployment describe --name {name}", text=True)
    t.run(f"worker deployment describe-version --deployment-name {name} --build-id 1", text=True)
    t.run(f"worker deployment set-current-version --deployment-name {name} --build-id 1 --yes", text=True)
    t.run(f"worker deployment delete-version --deployment-name {name} --build-id 1", text=True)
    t.run(f"worker deployment delete --name {name}", text=True)


@story
def refused_without_workers(t):
    """A deployment from its creation to its end; nobody polls, and so it has no versions."""
    name = named(t)
    of = f"--deployment-name {name}"
    t.run(f"worker deployment create --name {name}", text=True)
    t.run(f"worker deployment create-version {of} --build-id 1")
    t.run(f"worker deployment create-version {of} --build-id 2")
    t.run(f"worker deployment describe --name {name}", text=True)
    t.run(f"worker deployment set-current-version {of} --build-id 1 --yes", text=True)
    t.run(f"worker deployment set-ramping-version {of} --build-id 2 --percentage 25 --yes", text=True)
    t.says(
        f"worker deployment describe --name {name}", "CurrentVersionBuildID", "RampingVersionPercentage", "25"
    )
    t.run(f"worker deployment set-ramping-version {of} --build-id 2 --delete --yes", text=True)
    t.run(f"worker deployment update-version-metadata {of} --build-id 1 --metadata a=1", text=True)
    t.run(f"worker deployment describe-version {of} --build-id 1")
    t.run(
        f"worker deployment manager-identity set --deployment-name {name} --manager-identity boss --yes",
        text=True,
    )
    t.run(f"worker deployment set-current-version {of} --build-id 2 --yes --identity me", text=True)
    t.run(f"worker deployment manager-identity unset --deployment-name {name} --yes", text=True)
    t.run(f"worker deployment set-current-version {of} --unversioned --yes", text=True)
    t.run(f"worker deployment delete-version {of} --build-id 1", text=True)
    t.run(f"worker deployment delete-version {of} --build-id 1 --skip-drainage", text=True)
    t.run(f"worker deployment delete-version {of} --build-id 2 --skip-drainage", text=True)
    t.run(f"worker deployment delete --name {name}", text=True)
    t.run(f"worker deployment describe --name {name}", text=True)


@story
def versions(t):
    """Versions that were made by raw calls: the command makes none without somebody to provide workers."""
    name = named(t)
    of = f"--deployment-name {name}"
    t.call("CreateWorkerDeployment", deployment_name=name, request_id=t.id)
    for build in "12":
        version = {"deployment_name": name, "build_id": build}
        t.call("CreateWorkerDeploymentVersion", deployment_version=version, request_id=t.id)
        t.until(f"worker deployment describe-version {of} --build-id {build}", name)
    t.run(f"worker deployment create-version {of} --build-id 3 {LAMBDA}", json=False)
    t.run(f"worker deployment set-current-version {of} --build-id 1 --yes", text=True)
    t.run(f"worker deployment set-ramping-version {of} --build-id 2 --percentage 25 --yes", text=True)
    t.until(f"worker deployment describe --name {name}", "25")
    t.says(f"worker deployment describe --name {name}", "CurrentVersionBuildID", "RampingVersionPercentage")
    t.run(f"worker deployment set-ramping-version {of} --build-id 2 --delete --yes", text=True)
    t.run(f"worker deployment update-version-metadata {of} --build-id 1 --metadata 'a=\"1\"'", text=True)
    t.run(f"worker deployment describe-version {of} --build-id 1", text=True)
    t.run(f"worker deployment update-version-metadata {of} --build-id 1 --remove-entries a")
    t.run(f"worker deployment describe-version {of} --build-id 1")
    t.run(f"worker deployment delete-version {of} --build-id 1", text=True)
    t.run(f"worker deployment set-current-version {of} --unversioned --yes", text=True)
    t.run(f"worker deployment delete-version {of} --build-id 2", text=True)
