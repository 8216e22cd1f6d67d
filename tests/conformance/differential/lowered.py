"""Limits that would take long to reach, lowered for the scripts that say so.

Both servers of the pair are started with these settings, under the keys that their users know. What is
refused at n + 1 here is refused at the full limit too: each limit is read in one place.
"""

PENDING = 3
SIGNALS = 4
UPDATES_IN_FLIGHT = 2
UPDATES_TOTAL = 4
MEMO_BYTES = 1000
BLOB_BYTES = 6000
ATTRIBUTES = 3
# Enough for the attributes of the judge's own workflows.
ATTRIBUTE_BYTES = 60
ATTRIBUTES_BYTES = 280
NEXUS_HEADER_BYTES = 40
CALLBACKS = 3
BUFFERED_EVENTS = 3
UPDATES_IN_FLIGHT_BYTES = 3000
PAGE_ROWS = 3
HISTORY_EVENTS = 60
DEPLOYMENTS = 2
VERSIONS = 2

SETTINGS = {
    "limit.numPendingActivities.error": PENDING,
    "limit.numPendingChildExecutions.error": PENDING,
    "limit.numPendingSignals.error": PENDING,
    "limit.numPendingCancelRequests.error": PENDING,
    "component.nexusoperations.limit.operation.concurrency": PENDING,
    "component.nexusoperations.limit.header.size": NEXUS_HEADER_BYTES,
    "history.maximumSignalsPerExecution": SIGNALS,
    "history.maxInFlightUpdates": UPDATES_IN_FLIGHT,
    "history.maxTotalUpdates": UPDATES_TOTAL,
    "history.maxInFlightUpdatePayloads": UPDATES_IN_FLIGHT_BYTES,
    "history.maximumBufferedEventsBatch": BUFFERED_EVENTS,
    "callback.maxPerExecution": CALLBACKS,
    "frontend.visibilityMaxPageSize": PAGE_ROWS,
    "matching.maxDeployments": DEPLOYMENTS,
    "matching.maxVersionsInDeployment": VERSIONS,
    "limit.historyCount.error": HISTORY_EVENTS,
    "limit.blobSize.error": BLOB_BYTES,
    "limit.blobSize.warn": BLOB_BYTES,
    "limit.memoSize.error": MEMO_BYTES,
    # The judge looks at nothing that is not even worth a warning.
    "limit.memoSize.warn": MEMO_BYTES,
    "frontend.searchAttributesNumberOfKeysLimit": ATTRIBUTES,
    "frontend.searchAttributesSizeOfValueLimit": ATTRIBUTE_BYTES,
    "frontend.searchAttributesTotalSizeLimit": ATTRIBUTES_BYTES,
}
