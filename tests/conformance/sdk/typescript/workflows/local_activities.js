'use strict';

const { ApplicationFailure, proxyLocalActivities } = require('@temporalio/workflow');

async function localOnes(numbers) {
  const { double } = proxyLocalActivities({ startToCloseTimeout: '20s' });
  const results = [];
  for (const number of numbers) {
    results.push(await double(number));
  }
  return [results, await Promise.all(numbers.map((number) => double(number)))];
}

async function localRetries() {
  const { thirdTimeLocally } = proxyLocalActivities({
    startToCloseTimeout: '20s',
    retry: { initialInterval: '50ms', backoffCoefficient: 1 },
  });
  return await thirdTimeLocally();
}

/** The pause between two attempts is longer than the worker keeps its task: a timer waits for it. */
async function localBackOff() {
  const { thirdTimeLocally } = proxyLocalActivities({
    startToCloseTimeout: '20s',
    localRetryThreshold: '100ms',
    retry: { initialInterval: '500ms', backoffCoefficient: 1 },
  });
  return await thirdTimeLocally();
}

async function localFailure() {
  const { failsLocally } = proxyLocalActivities({ startToCloseTimeout: '20s', retry: { maximumAttempts: 2 } });
  try {
    return await failsLocally();
  } catch (error) {
    return error instanceof ApplicationFailure ? error.message : `another failure: ${error}`;
  }
}

/** Longer than the time-out of the workflow's task, which the worker has to keep. */
async function localAndLong() {
  const { takesFourSeconds } = proxyLocalActivities({ startToCloseTimeout: '20s' });
  return await takesFourSeconds();
}

module.exports = { localOnes, localRetries, localBackOff, localFailure, localAndLong };
