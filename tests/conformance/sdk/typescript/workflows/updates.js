'use strict';

const {
  ApplicationFailure,
  allHandlersFinished,
  condition,
  continueAsNew,
  defineQuery,
  defineSignal,
  defineUpdate,
  proxyActivities,
  setHandler,
} = require('@temporalio/workflow');

const { price } = proxyActivities({ startToCloseTimeout: '20s' });

const add = defineUpdate('add');
const addPriced = defineUpdate('addPriced');
const refuse = defineUpdate('refuse');
const pass = defineUpdate('pass');
const checkOut = defineUpdate('checkOut');
const open = defineSignal('open');
const renew = defineSignal('renew');
const generationNow = defineQuery('generation');

/** Items are added, checked first and priced by an activity; an update closes it. */
async function cart(generation = 0) {
  const items = [];
  let closed = false;
  let renewed = false;
  let isOpen = false;
  setHandler(add, (item) => items.push(item), {
    validator: (item) => {
      if (!item) {
        throw ApplicationFailure.create({ message: 'nothing to add', type: 'Empty' });
      }
    },
  });
  setHandler(addPriced, async (item) => {
    items.push(`${item}:${await price(item)}`);
    return items.length;
  });
  setHandler(refuse, () => {
    throw ApplicationFailure.create({ message: 'not today', type: 'Refused', details: [7] });
  });
  setHandler(pass, async () => {
    await condition(() => isOpen);
    return generation;
  });
  setHandler(checkOut, () => {
    closed = true;
    return items;
  });
  setHandler(open, () => {
    isOpen = true;
  });
  setHandler(renew, () => {
    renewed = true;
  });
  setHandler(generationNow, () => generation);
  await condition(() => closed || renewed);
  if (renewed) {
    await continueAsNew(generation + 1);
  }
  await condition(allHandlersFinished);
  return items;
}

module.exports = { cart };
