'use strict';

const { ActivityFailure, ApplicationFailure, TimeoutFailure, proxyActivities } = require('@temporalio/workflow');

const FAST = { initialInterval: '100ms', backoffCoefficient: 1 };

async function retries() {
  const { thirdTimeLucky } = proxyActivities({ startToCloseTimeout: '20s', retry: FAST });
  return await thirdTimeLucky();
}

/** Fails in every way; what the workflow catches is what it answers. */
async function caught(kind, nonRetryable, maximumAttempts, nonRetryableErrorTypes) {
  const { fails } = proxyActivities({
    startToCloseTimeout: '20s',
    retry: { ...FAST, maximumAttempts, nonRetryableErrorTypes },
  });
  try {
    await fails(kind, nonRetryable);
  } catch (error) {
    if (!(error instanceof ActivityFailure && error.cause instanceof ApplicationFailure)) {
      throw error;
    }
    const { type, message, details } = error.cause;
    return { type, message, details, activityType: error.activityType, retryState: error.retryState };
  }
  throw ApplicationFailure.nonRetryable('no error');
}

async function delayed() {
  const { asksForADelay } = proxyActivities({ startToCloseTimeout: '20s', retry: FAST });
  return await asksForADelay();
}

async function timesOut(options) {
  const { sleeps } = proxyActivities(options);
  try {
    return await sleeps();
  } catch (error) {
    if (error instanceof ActivityFailure && error.cause instanceof TimeoutFailure) {
      return { timeoutType: error.cause.timeoutType, retryState: error.retryState };
    }
    throw error;
  }
}

async function heartbeats() {
  const { beatsAndStops } = proxyActivities({ startToCloseTimeout: '20s', heartbeatTimeout: '1s', retry: FAST });
  return await beatsAndStops();
}

module.exports = { retries, caught, delayed, timesOut, heartbeats };
