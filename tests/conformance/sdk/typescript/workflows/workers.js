'use strict';

const { condition, defineQuery, defineSignal, proxyActivities, setHandler } = require('@temporalio/workflow');

const allow = defineSignal('allow');
const progress = defineQuery('progress');

/** A step for each permission. */
async function steps(count) {
  const { step } = proxyActivities({
    startToCloseTimeout: '20s',
    heartbeatTimeout: '2s',
    retry: { initialInterval: '100ms' },
  });
  let allowed = 0;
  let done = 0;
  setHandler(allow, () => {
    allowed += 1;
  });
  setHandler(progress, () => done);
  let number = 0;
  while (done < count) {
    await condition(() => allowed > done);
    number = await step(number);
    done += 1;
  }
  return number;
}

async function byHand() {
  const { leftToOthers } = proxyActivities({ startToCloseTimeout: '20s', retry: { maximumAttempts: 1 } });
  try {
    return await leftToOthers();
  } catch (error) {
    return `${error.cause.name}: ${error.cause.message}`;
  }
}

module.exports = { steps, byHand };
