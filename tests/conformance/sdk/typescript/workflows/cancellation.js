'use strict';

const {
  CancellationScope,
  CancelledFailure,
  condition,
  isCancellation,
  proxyActivities,
  sleep,
} = require('@temporalio/workflow');

const beating = { startToCloseTimeout: '30s', heartbeatTimeout: '5s' };

async function letsItselfBeCancelled() {
  await sleep('1h');
}

/** Cleans up in a scope that the cancellation does not reach. */
async function cleansUp() {
  const { note } = proxyActivities({ startToCloseTimeout: '20s' });
  try {
    await condition(() => false);
  } catch (error) {
    if (!isCancellation(error)) {
      throw error;
    }
    await CancellationScope.nonCancellable(() => note('cleaned'));
    throw error;
  }
}

async function ignoresIt() {
  try {
    await sleep('1h');
  } catch (error) {
    if (isCancellation(error)) {
      return 'no matter';
    }
    throw error;
  }
}

/** The scope's time is over before the activity is; what the activity came to depends on the type. */
async function scopeWithTimeout(cancellationType) {
  const { beatsUntilCancelled } = proxyActivities({ ...beating, cancellationType });
  try {
    return await CancellationScope.withTimeout('1s', () => beatsUntilCancelled());
  } catch (error) {
    return isCancellation(error) ? 'cancelled' : `failed: ${error}`;
  }
}

async function innerScopeOnly() {
  const { note } = proxyActivities({ startToCloseTimeout: '20s' });
  const answers = [];
  await CancellationScope.cancellable(async () => {
    const inner = new CancellationScope();
    const sleeping = inner
      .run(() => sleep('1h'))
      .catch((error) => {
        answers.push(error instanceof CancelledFailure ? 'inner is cancelled' : 'inner has failed');
      });
    inner.cancel();
    await sleeping;
    answers.push(await note('outer goes on'));
  });
  return answers;
}

/** Asked for before it began: nothing is ever scheduled. */
async function cancelledBeforehand() {
  const { note } = proxyActivities({ startToCloseTimeout: '20s' });
  const scope = new CancellationScope();
  scope.cancel();
  try {
    return await scope.run(() => note('never'));
  } catch (error) {
    return isCancellation(error) ? 'cancelled' : 'failed';
  }
}

module.exports = {
  letsItselfBeCancelled,
  cleansUp,
  ignoresIt,
  scopeWithTimeout,
  innerScopeOnly,
  cancelledBeforehand,
};
