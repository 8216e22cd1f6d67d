'use strict';

const {
  condition,
  continueAsNew,
  defineSignal,
  makeContinueAsNewFunc,
  setHandler,
  workflowInfo,
} = require('@temporalio/workflow');

const add = defineSignal('add');

async function countsDown(left, runs = []) {
  runs.push(workflowInfo().runId);
  if (left > 0) {
    await continueAsNew(left - 1, runs);
  }
  return runs;
}

async function becomesAnother(word) {
  const next = makeContinueAsNewFunc({ workflowType: 'whoAmI', memo: { word } });
  await next();
}

const PER_RUN = 5;

/** Adds up so many signals, a few in each run: none may get lost or doubled between two runs. */
async function sums(wanted, before = 0, sum = 0) {
  let taken = 0;
  setHandler(add, (number) => {
    taken += 1;
    sum += number;
  });
  await condition(() => taken >= PER_RUN || before + taken === wanted);
  if (before + taken < wanted) {
    await continueAsNew(wanted, before + taken, sum);
  }
  return sum;
}

module.exports = { countsDown, becomesAnother, sums };
