'use strict';

const {
  condition,
  defineQuery,
  defineSignal,
  proxyActivities,
  setHandler,
  setWorkflowOptions,
  startChild,
} = require('@temporalio/workflow');

const step = defineSignal('step');
const seen = defineQuery('seen');

/** Tells on which version each of its steps ran. */
async function toldByStep(count) {
  const { where } = proxyActivities({ startToCloseTimeout: '20s' });
  const told = [];
  let steps = 0;
  setHandler(step, () => {
    steps += 1;
  });
  setHandler(seen, () => steps);
  while (told.length < count) {
    await condition(() => steps > told.length);
    told.push(await where());
  }
  return told;
}

async function pinned(count) {
  return await toldByStep(count);
}

async function moving(count) {
  return await toldByStep(count);
}

async function pinnedParent() {
  const child = await startChild('pinned', { args: [1] });
  await child.signal('step');
  return await child.result();
}

setWorkflowOptions({ versioningBehavior: 'PINNED' }, pinned);
setWorkflowOptions({ versioningBehavior: 'AUTO_UPGRADE' }, moving);
setWorkflowOptions({ versioningBehavior: 'PINNED' }, pinnedParent);

module.exports = { pinned, moving, pinnedParent };
