'use strict';

const HEADER = 'everlog-trace';

/** Carries a header from the workflow's start to its activities and children; does nothing where there is none. */
function interceptors() {
  let trace;
  const carry = (headers) => (trace ? { ...headers, [HEADER]: trace } : headers);
  return {
    inbound: [
      {
        async execute(input, next) {
          trace = input.headers[HEADER];
          return await next(input);
        },
      },
    ],
    outbound: [
      {
        async scheduleActivity(input, next) {
          return await next({ ...input, headers: carry(input.headers) });
        },
        async startChildWorkflowExecution(input, next) {
          return await next({ ...input, headers: carry(input.headers) });
        },
      },
    ],
  };
}

module.exports = { interceptors };
