'use strict';

// Versions of workers: pinned workflows, those that move on, ramps, overrides, children.

const { isGrpcServiceError } = require('@temporalio/client');

const { equal, test, until } = require('../harness');

const versionOf = (env, buildId) => ({ deploymentName: env.prefix.replaceAll('.', '-'), buildId });

/** Runs workers of the versions 1 and 2, and the case when both are known. */
async function withBoth(env, body) {
  const options = (buildId) => ({
    // Which version the activity's worker is of.
    activities: { where: async () => buildId },
    workerDeploymentOptions: {
      version: versionOf(env, buildId),
      useWorkerVersioning: true,
      defaultVersioningBehavior: 'PINNED',
    },
  });
  await env.withWorker(options('1'), () =>
    env.withWorker(options('2'), async () => {
      await until('both versions', async () => (await described(env))?.known.size === 2);
      await body();
    }),
  );
}

/** What the server knows of the deployment; nothing, if there is none. */
async function described(env) {
  const { deploymentName } = versionOf(env, '');
  const request = { namespace: 'default', deploymentName };
  const answer = await unlessRefused(env.client.workflowService.describeWorkerDeployment(request));
  return (
    answer && {
      conflictToken: answer.conflictToken,
      current: answer.workerDeploymentInfo.routingConfig.currentDeploymentVersion?.buildId,
      known: new Set(answer.workerDeploymentInfo.versionSummaries.map((summary) => summary.deploymentVersion.buildId)),
    }
  );
}

async function unlessRefused(promise) {
  try {
    return await promise;
  } catch (error) {
    if (isGrpcServiceError(error) || isGrpcServiceError(error.cause)) {
      return undefined;
    }
    throw error;
  }
}

async function change(env, buildId, more = {}) {
  const { deploymentName } = versionOf(env, '');
  const { conflictToken } = await described(env);
  return { namespace: 'default', deploymentName, buildId, conflictToken, ...more };
}

async function setCurrent(env, buildId) {
  const request = await change(env, buildId);
  await env.client.workflowService.setWorkerDeploymentCurrentVersion(request);
  await until('the current version', async () => (await described(env)).current === buildId);
}

async function setRamp(env, buildId, percentage) {
  const request = await change(env, buildId, { percentage });
  await env.client.workflowService.setWorkerDeploymentRampingVersion(request);
}

/** The queue of a version may be known a little later than the version. */
async function startOn(env, buildId, workflow, args = []) {
  const versioningOverride = { pinnedTo: versionOf(env, buildId) };
  return await until("the version's queue", () => unlessRefused(env.start(workflow, args, { versioningOverride })));
}

/** Where a new workflow of one step ran. */
async function told(env, name) {
  const handle = await env.start('pinned', [1], { workflowId: env.id(name) });
  await handle.signal('step');
  return await handle.result();
}

/** A workflow of two steps whose second one comes after the current version has changed from 1 to 2. */
async function overAChange(env, workflow) {
  await setCurrent(env, '1');
  const handle = await env.start(workflow, [2]);
  await handle.signal('step');
  await until('the first step', async () => {
    const { events } = await handle.fetchHistory();
    return events.some((event) => event.activityTaskCompletedEventAttributes) && (await handle.query('seen')) === 1;
  });
  await setCurrent(env, '2');
  await handle.signal('step');
  return await handle.result();
}

test('pinned', 'A pinned workflow ends where it began, and a new one begins on the current version.', async (env) => {
  await withBoth(env, async () => {
    equal(await overAChange(env, 'pinned'), ['1', '1']);
    equal(await told(env, 'new'), ['2']);
  });
});

test('moving', 'The other kind goes with the current version.', async (env) => {
  await withBoth(env, async () => equal(await overAChange(env, 'moving'), ['1', '2']));
});

test('overridden', 'Whoever starts a workflow may say on which version it is to run.', async (env) => {
  await withBoth(env, async () => {
    await setCurrent(env, '2');
    const handle = await startOn(env, '1', 'moving', [1]);
    await handle.signal('step');
    equal(await handle.result(), ['1']);
    const { versioningInfo } = (await handle.describe()).raw.workflowExecutionInfo;
    equal(versioningInfo.versioningOverride.pinned.version.buildId, '1');
  });
});

test('ramped', 'A ramp of a hundred per cent takes every new workflow, one of nought none.', async (env) => {
  await withBoth(env, async () => {
    await setCurrent(env, '1');
    await setRamp(env, '2', 100);
    equal(await told(env, 'all'), ['2']);
    await setRamp(env, '2', 0);
    equal(await told(env, 'none'), ['1']);
  });
});

test('children', "A child of a pinned workflow begins on its parent's version, not the current one.", async (env) => {
  await withBoth(env, async () => {
    await setCurrent(env, '2');
    equal(await (await startOn(env, '1', 'pinnedParent')).result(), ['1']);
  });
});
