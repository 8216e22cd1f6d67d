'use strict';

const { ApplicationFailure, proxyActivities, workflowInfo } = require('@temporalio/workflow');

async function failsForGood() {
  throw ApplicationFailure.create({
    message: 'as you wish',
    type: 'Wish',
    nonRetryable: true,
    details: ['a', { b: 2 }],
    cause: new Error('the reason'),
  });
}

async function failsOfItsActivity() {
  const { broken } = proxyActivities({ startToCloseTimeout: '20s', retry: { maximumAttempts: 1 } });
  await broken();
}

async function secondRunLucky() {
  const { attempt } = workflowInfo();
  if (attempt < 2) {
    throw ApplicationFailure.create({ message: `attempt ${attempt}` });
  }
  return attempt;
}

async function brokenTask() {
  // Not a failure of the workflow but of its task: it is tried again, for ever.
  throw new TypeError('a bug');
}

module.exports = { failsForGood, failsOfItsActivity, secondRunLucky, brokenTask };
