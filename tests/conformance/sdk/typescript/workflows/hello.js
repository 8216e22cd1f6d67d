'use strict';

const { proxyActivities, workflowInfo } = require('@temporalio/workflow');

const { greet } = proxyActivities({ startToCloseTimeout: '20s' });

async function greeting(name) {
  return await greet(name);
}

async function nothing() {}

async function manyGreetings(names) {
  const oneByOne = [];
  for (const name of names) {
    oneByOne.push(await greet(name));
  }
  const atOnce = await Promise.all(names.map((name) => greet(name)));
  return { oneByOne, atOnce };
}

async function whoAmI() {
  const { workflowId, workflowType, taskQueue, namespace, attempt, memo } = workflowInfo();
  return { workflowId, workflowType, taskQueue, namespace, attempt, memo };
}

module.exports = { greeting, nothing, manyGreetings, whoAmI };
