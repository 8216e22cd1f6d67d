'use strict';

const { CancellationScope, condition, isCancellation, sleep } = require('@temporalio/workflow');

async function slept(milliseconds) {
  const begun = Date.now();
  await sleep(milliseconds);
  return Date.now() - begun;
}

async function race() {
  return await Promise.race([sleep('30s').then(() => 'slow'), sleep('200ms').then(() => 'fast')]);
}

async function manyTimers(count) {
  await Promise.all(Array.from({ length: count }, (_, number) => sleep(100 + number)));
  return count;
}

async function cancelledTimer() {
  const scope = new CancellationScope();
  const sleeping = scope.run(() => sleep('1h'));
  await sleep('100ms');
  scope.cancel();
  try {
    await sleeping;
    return 'slept';
  } catch (error) {
    return isCancellation(error) ? 'cancelled' : 'failed';
  }
}

async function conditions() {
  let ready = false;
  sleep('200ms').then(() => {
    ready = true;
  });
  return [await condition(() => ready, '10s'), await condition(() => !ready, '100ms')];
}

module.exports = { slept, race, manyTimers, cancelledTimer, conditions };
